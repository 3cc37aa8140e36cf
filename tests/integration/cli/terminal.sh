#!/usr/bin/env bash
# On a terminal: what is typed arrives, the program gets no terminal of ours, Ctrl-C ends the tree.
source "$(dirname "$0")/common.sh"
work
aisbx run true

python3 - "${program[@]}" <<'PY' || fail "terminal"
import os, pty, select, subprocess, sys, time

def spawn(*args):
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[1], [*sys.argv[1:], *args])
    return pid, fd

def read_until(fd, text, seconds=20):
    seen, end = b"", time.monotonic() + seconds
    while text not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        assert ready, f"waited in vain for {text!r}; saw {seen!r}"
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        assert data, f"ended before {text!r}; saw {seen!r}"
        seen += data
    return seen

def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def alive(mark):
    return subprocess.run(["pgrep", "-f", f"sleep {mark}"], stdout=subprocess.DEVNULL).returncode == 0

pid, fd = spawn("run", "--", "sh", "-c", 'test -t 0 || test -t 1 || echo no terminal; read x; echo "<$x>"; cat; exit 4')
read_until(fd, b"no terminal")
os.write(fd, b"typed\n")
read_until(fd, b"<typed>")
os.write(fd, b"\x04")  # end of input
assert status(pid) == 4, "status after end of input"

mark = f"{os.getpid()}.5"
pid, fd = spawn("run", "--", "sh", "-c", f"setsid sleep {mark} & echo ready; sleep 60")
read_until(fd, b"ready")
assert alive(mark)
os.write(fd, b"\x03")  # Ctrl-C
assert status(pid) == 130, "status after Ctrl-C"
assert not alive(mark), "the daemon outlived Ctrl-C"

# Typing while aisbx runs in the background must not stop it.
pid, fd = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--norc", "-ic", 'set -m; "$@" & wait $!; echo status $?', "-",
                       *sys.argv[1:], "run", "--", "sh", "-c", "echo ready; sleep 1; echo over"])
read_until(fd, b"ready")
os.write(fd, b"for somebody else\n")
read_until(fd, b"status 0")
os.waitpid(pid, 0)
PY

# Input that ends ends a shell on a terminal, too, which reads single characters by the time it reads at all.
for input in '' 'echo typed-$((40+2))'; do
    status=0
    printf '%s' "${input:+$input$'\n'}" | timeout 60 "${program[@]}" run --profile python-dev -t bash >"$dir/out" 2>"$dir/err" || status=$?
    check_text "bash -t after '$input'" 0 "$status"
    [[ -z $input ]] || grep -q typed-42 "$dir/out" || fail "bash -t: $(<"$dir/out")"
done
