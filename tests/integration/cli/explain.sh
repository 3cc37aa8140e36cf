#!/usr/bin/env bash
# explain.sh root|user: what "profile explain" says is what a sandbox does.
source "$(dirname "$0")/common.sh"
command -v python3 >/dev/null || skip "needs python3"
work

# ---- system calls: asked about, and made ----
cat >calls.py <<'PY'
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
# Arguments that no kernel accepts: a call that gets through fails in another way, or does nothing.
NUMBERS = {"ptrace": 101, "mount": 165, "shmget": 29, "io_uring_setup": 425, "clone3": 435, "bpf": 321, "swapon": 167,
           "getpid": 39, "getppid": 110, "sched_yield": 24, "mlockall": 151, "sync": 162, "adjtimex": 159, "kcmp": 312,
           "getpriority": 140, "sysinfo": 99, "mq_open": 240, "io_setup": 206, "pkey_free": 331, "memfd_secret": 447}
got = {}
for name, number in NUMBERS.items():
    ctypes.set_errno(0)
    libc.syscall(number, -1, -1, -1, -1, -1, -1)
    got[name] = errno.errorcode.get(ctypes.get_errno(), "0")
print(json.dumps(got))
PY
compare_calls() {
    python3 - "$1" "$2" <<'END'
import json, sys
got, told = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))["syscalls"]
assert len(told) == len(got)
for a in told:
    refused = a["answer"] == "refused"
    seen = got[a["subject"]]
    assert refused == (seen == a["detail"]) if refused or seen in ("ENOSYS", "EPERM") else True, (a, seen)
END
}
if [[ $(uname -m) == x86_64 ]]; then
    for profile in python-dev strict minimal; do
        check_status 0 run --profile "$profile" -- python3 -c "$(<calls.py)"
        cp "$dir/out" got
        names=$(python3 -c 'import json; print(",".join(json.load(open("got"))))')
        check_status 0 profile explain "$profile" --json --syscall "$names"
        cp "$dir/out" told
        compare_calls got told || fail "$profile: $(<got) is not as told"
    done
fi

# ---- paths: asked about, and looked at ----
paths=(/ /usr /usr/bin /usr/share /usr/include /usr/local/bin /bin /lib /etc /etc/passwd /etc/shadow /etc/hosts /etc/ssl
    /etc/ssl/certs /etc/ssl/private /etc/fstab /etc/ld.so.cache /etc/os-release /proc /proc/sys /dev /dev/shm /tmp
    /var/tmp /run /var /var/log /home /root /sys /boot /opt /srv /mnt /workspace)
probe='for p in "$@"; do
    if [ ! -e "$p" ]; then echo "$p hidden"
    elif [ -d "$p" ] && (: >"$p/.probe") 2>/dev/null; then rm -f "$p/.probe"; echo "$p read-write"
    else echo "$p read-only"; fi
done'
asked=()
for path in "${paths[@]}"; do asked+=(--path "$path"); done
for profile in python-dev strict minimal; do
    check_status 0 run --no-workspace --profile "$profile" -- sh -c "$probe" - "${paths[@]}"
    cp "$dir/out" seen
    check_status 0 profile explain "$profile" --json "${asked[@]}"
    python3 - "$dir/out" seen "$profile" <<'END' || fail "$profile: paths are not as told"
import json, os, sys
seen = dict(line.split() for line in open(sys.argv[2]))
wrong = []
for a in json.load(open(sys.argv[1]))["paths"]:
    path, told = a["subject"], a["answer"]
    if path == "/proc":  # no new names there, but files to write
        told = "read-only"
    if told != "hidden" and "host's" in a["detail"] and not os.path.exists(path):
        continue  # this host has none
    if told != seen[path]:
        wrong.append((path, told, seen[path]))
assert not wrong, wrong
END
done

# ---- a configuration of one's own: file and line, for people and as JSON ----
cat >config.yaml <<'YAML'
profiles:
  mine:
    extends: python-dev
    memory: 1GiB
    network:
      deny: [pypi.org]
YAML
chmod 644 config.yaml
AISBX_CONFIG_PATH=$PWD/config.yaml
export AISBX_CONFIG_PATH
check_status 0 profile explain mine
check_has "chain" '^mine extends python-dev, dev, base$' "$(<"$dir/out")"
check_has "line" '^limits.memory  *1GiB  *mine  *.*config.yaml:4  *Memory and tmpfs' "$(<"$dir/out")"
check_has "line" '^seccomp  *python  *python-dev  *built-in python-dev.yaml:[0-9]' "$(<"$dir/out")"
check_status 0 profile explain mine --host pypi.org --syscall ptrace,read
check_has "host" '^pypi.org: refused' "$(<"$dir/out")"
check_has "host" 'decided by: network.deny: "pypi.org", .*config.yaml:6' "$(<"$dir/out")"
check_has "call" '^ptrace: refused' "$(<"$dir/out")"
check_has "call" '^read: allowed' "$(<"$dir/out")"
check_status 0 profile explain --json mine
python3 -c '
import json, sys
told = json.load(open(sys.argv[1]))
assert told["bases"] == ["python-dev", "dev", "base"], told["bases"]
assert told["profile"]["name"] == "mine"
assert all(s["origin"] and s["meaning"] for s in told["settings"])
' "$dir/out" || fail "json: $(<"$dir/out")"
aisbx worker stop
unset AISBX_CONFIG_PATH

# ---- without a name, a base for others, and usage ----
check_status 0 profile explain
check_has "default" '^strict extends base$' "$(<"$dir/out")"
check_status 0 profile explain dev
check_status 1 profile explain stritc
check_has "suggestion" 'did you mean "strict"' "$(<"$dir/err")"
check_status 1 profile explain strict --path relative
check_has "field" 'paths.0.: an absolute path inside' "$(<"$dir/err")"
check_status 2 profile explain strict minimal
"${program[@]/%\/aisbx//aisbx-security}" profile explain strict --syscall bpf >"$dir/out"
check_has "aisbx-security" '^bpf: refused' "$(<"$dir/out")"
