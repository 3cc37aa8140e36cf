#!/usr/bin/env bash
# learn.sh root|user: aisbx-security profile learn finds what a program needs, and what it finds is enforced.
source "$(dirname "$0")/common.sh"
command -v python3 >/dev/null || skip "needs python3"
security=("${program[@]}")
security[-1]=${security[-1]}-security
work
mkdir "$dir/tmp"
chmod 1777 "$dir/tmp"
export TMPDIR=$dir/tmp # where its workers live

# learn_of WANTED ARGS...: status and output, in $dir/out and $dir/err.
learn_of() {
    local wanted=$1 got=0
    shift
    "${security[@]}" profile learn "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    [[ $got == "$wanted" ]] || fail "profile learn $*: status $got, wanted $wanted; $(head -c 800 "$dir/err")"
}

# made FILE: the calls the program itself made, a line.
made() { python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["syscalls"][0]["names"])' "$1"; }
allowed() { python3 -c 'import json, sys; print(*sorted(n for r in json.load(open(sys.argv[1]))["syscalls"] for n in r["names"]))' "$1"; }

# ---- without a file the list, and nothing else, is what is printed ----
learn_of 0 true
if grep -q 'gives no seccomp listener' "$dir/err"; then skip "no seccomp listener here"; fi
cp "$dir/out" true.json
check_has "loader" ' mmap mprotect ' " $(made true.json) "
! grep -qwE 'prctl|setsid|signalfd4|socket|unlink' <<<"$(made true.json)" || fail "not of true: $(made true.json)"
check_has "proof" 'proved: under that list alone it ended as before: exited with 0' "$(<"$dir/err")"
learn_of 0 sh -c 'echo from the program'
python3 -m json.tool <"$dir/out" >/dev/null || fail "the program's output is among the list"
check_text "both runs print" 2 "$(grep -c 'from the program' "$dir/err")"

# ---- a file, and a profile beside it, which another worker takes ----
learn_of 0 --profile python-dev -o py.json -- python3 -c 'import os; os.mkdir("/tmp/d"); os.rmdir("/tmp/d")'
check_text "standard output is the program's" '' "$(<"$dir/out")"
check_has "calls" ' mkdir .* rmdir' " $(made py.json) "
chmod 644 py.json
cp py.yaml config.yaml
AISBX_CONFIG_PATH=$PWD/config.yaml
export AISBX_CONFIG_PATH
check_status 0 run --profile learnt-python3 python3 -c 'import os; os.mkdir("/tmp/d")'
check_status 0 run --profile python-dev python3 -c 'import os; os.symlink("a", "/tmp/d")'
check_status 1 run --profile learnt-python3 python3 -c 'import os; os.symlink("a", "/tmp/d")'
check_has "a call outside" 'OSError: .Errno 38. Function not implemented' "$(<"$dir/err")"
aisbx worker stop
unset AISBX_CONFIG_PATH

# ---- all processes of a pipeline, and the status of the program, whatever it is ----
learn_of 0 -o sh.json -- sh -c 'ls /usr | sort | head -1; ln -s a /tmp/b; exit 3'
check_has "children" 'symlinkat' "$(made sh.json)"
check_has "children" 'getdents64' "$(made sh.json)"
check_has "status" 'proved: .*exited with 3' "$(<"$dir/err")"

# ---- a program that does not do the same every time: more runs, and a proof that fails is told ----
cat >turns.py <<'PY'
import os
try: turn = len(open("turns").read())
except FileNotFoundError: turn = 0
open("turns", "a").write(".")
[lambda: os.symlink("a", "/tmp/a"), lambda: os.link("turns", "other"), lambda: os.truncate("turns", 2)][min(turn, 2)]()
PY
learn_of 5 -p python-dev -o turns.json -- python3 turns.py
check_has "not proved" 'NOT proved: before it exited with 0; under that list alone: exited with 1' "$(<"$dir/err")"
check_has "hint" 'needs --runs N' "$(<"$dir/err")"
rm -f turns other
learn_of 0 -p python-dev --runs 3 -o turns.json -- python3 turns.py
for call in symlink link truncate; do
    check_has "runs" " $call " " $(made turns.json) "
done

# ---- what the list refuses is refused while learning too, unless --open; the floor is never lifted ----
cat >wants.py <<'PY'
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit((libc.shmget(0, 4096, 0o1600) >= 0) + 2 * (libc.ptrace(0, 0, 0, 0) >= 0))
PY
learn_of 0 -p python-dev -o closed.json -- python3 wants.py
check_has "closed" 'proved: .*exited with 0' "$(<"$dir/err")"
! grep -qwE 'shmget|ptrace|seccomp' <<<"$(allowed closed.json)" || fail "a refused call is in the list"
check_has "denials" 'denied to the program: ptrace' "$(<"$dir/err")"
learn_of 0 -p python-dev --open -o open.json -- python3 wants.py
check_has "open" 'proved: .*exited with 1' "$(<"$dir/err")"
check_has "open" ' shmget ' " $(allowed open.json) "
check_has "wider" 'more than profile python-dev allows: shmget$' "$(<"$dir/err")"
! grep -qw ptrace <<<"$(allowed open.json)" || fail "a call of the floor is in the list"

# ---- as JSON ----
learn_of 0 --json -o j.json true
python3 - "$dir/out" "$PWD/j.json" <<'END' || fail "$(<"$dir/out")"
import json, sys
told, path = json.load(open(sys.argv[1])), sys.argv[2]
assert told["proved"] and told["profile"] == "strict" and told["list"] == path, told
counts = {c["name"]: c["count"] for c in told["calls"]}
assert counts["mmap"] > 1 and counts["execve"] == 0, counts
assert sorted(counts) == sorted(n for r in json.load(open(path))["syscalls"] for n in r["names"])
END
learn_of 2 --json true

# ---- what cannot be learnt, and usage ----
learn_of 1 -o none.json /nonexistent/program
learn_of 1 -o none.json --timeout 200ms sleep 20
check_has "limits" 'nothing is learnt' "$(<"$dir/err")"
[[ ! -e none.json ]] || fail "a list of nothing was written"
learn_of 1 --driver bwrap true
[[ ! -s $dir/out ]] || fail "a list of nothing was printed"
learn_of 2 --address "unix:$dir/nobody.sock" true
learn_of 2
learn_of 2 --runs 0 true
learn_of 0 --help
check_has "help" '^  aisbx-security profile learn --open' "$(<"$dir/out")"

# ---- nothing is left ----
check_text "left in TMPDIR" '' "$(ls "$TMPDIR")"
