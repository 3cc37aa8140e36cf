#!/usr/bin/env bash
# What a program was denied is told: with --verbose, as JSON, and in one line when the program failed.
source "$(dirname "$0")/common.sh"
command -v python3 >/dev/null || skip "needs python3"
work

cat >denied.py <<'PY'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for call in (lambda: libc.mount(b"a", b"/tmp", b"tmpfs", 0, None), lambda: libc.ptrace(0, 0, 0, 0),
             lambda: libc.ptrace(0, 0, 0, 0), lambda: libc.unshare(0x10000000)):
    assert call() == -1 and ctypes.get_errno() == 1, ctypes.get_errno()
assert libc.socket(38, 5, 0) == -1 and ctypes.get_errno() == 97, ctypes.get_errno()
sys.exit(int(sys.argv[1]))
PY
run=(run --profile python-dev)

# ---- the hint: one line, when the program failed, and never else ----
check_status 4 "${run[@]}" python3 denied.py 4
check_text "the hint" "aisbx: denied to the program: mount, ptrace, unshare, socket; aisbx run --verbose says why" \
    "$(<"$dir/err")"
check_status 0 "${run[@]}" python3 denied.py 0
check_text "no hint after success" '' "$(<"$dir/err")"
check_status 4 "${run[@]}" python3 -c 'import sys; sys.exit(4)'
check_text "no hint without denials" '' "$(<"$dir/err")"

# ---- the whole story ----
aisbx "${run[@]}" --verbose python3 denied.py 0 2>"$dir/err"
check_has "verbose" '^denied ptrace, 2x (PTRACE_TRACEME; EPERM; first by python3 .*python-dev.*floor' "$(<"$dir/err")"
check_has "verbose" '^denied socket, 1x (AF_ALG; EAFNOSUPPORT;' "$(<"$dir/err")"
aisbx "${run[@]}" --json python3 denied.py 0 | python3 -c '
import json, sys
got = {v["subject"]: (v["kind"], v["count"], v["profile"], v["allow_with"])
       for v in json.load(sys.stdin)["verdict"]["violations"]}
want = {name: ("syscall", n, "python-dev", "") for name, n in
        {"mount": 1, "ptrace": 2, "unshare": 1, "socket": 1}.items()}
assert got == want, got
'

# ---- what bounds a file where nothing else bounds memory ----
if ! aisbx worker info | grep '^cgroup  *enforced' >/dev/null; then
    check_status 153 run --profile python-dev --memory 32MiB --verbose sh -c 'exec head -c 20M /dev/zero >big'
    check_has "a file that is too large" '^met limit memory, 1x (ended by SIGXFSZ: .*16777216 bytes' "$(<"$dir/err")"
    check_has "what to do" 'limits.memory_bytes' "$(<"$dir/err")"
    rm big
fi

# ---- lists of one's own ----
cat >list.json <<'JSON'
{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
  {"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY", "errnoRet": 13},
  {"names": ["sched_get_priority_max"], "action": "SCMP_ACT_KILL_PROCESS"}]}
JSON
cat >config.yaml <<YAML
profiles:
  mine:
    extends: base
    seccomp: $PWD/list.json
YAML
chmod 644 list.json config.yaml
export AISBX_CONFIG_PATH=$PWD/config.yaml
aisbx worker stop
check_status 0 run --profile mine --verbose python3 -c '
import os
try: os.getpgid(0)
except PermissionError: raise SystemExit(0)
raise SystemExit(9)'
check_has "a rule that notifies" '^denied getpgid, 1x (EACCES; .*profile mine, seccomp .*to allow: .*SCMP_ACT_ALLOW' "$(<"$dir/err")"
check_status 159 run --profile mine --json python3 -c 'import os; os.sched_get_priority_max(0)'
check_has "a rule that kills" '"kind":"policy_killed"' "$(<"$dir/out")"
check_status 159 run --profile mine python3 -c 'import os; os.sched_get_priority_max(0)'
check_has "a rule that kills" "killed for a system call by seccomp list" "$(<"$dir/err")"
aisbx worker stop

# ---- limits ----
unset AISBX_CONFIG_PATH
fill='cd /tmp && for i in 1 2 3; do head -c 8000000 /dev/zero >$i || exit 3; done'
check_status 3 run --profile minimal -- sh -c "$fill"
check_has "no space" '^aisbx: no space left: all 16MiB of /tmp were used' "$(<"$dir/err")"
check_has "what to do about it" 'hint: .*--disk' "$(<"$dir/err")"
check_status 3 run --profile minimal --disk 4m --verbose -- sh -c "$fill"
check_has "the limit of a request" '^met limit disk, 1x (/tmp: .*limits.disk: 4MiB (the request); to allow more: limits: {disk: 8MiB} in the request; its profile gives 16MiB' \
    "$(<"$dir/err")"
check_status 3 run --profile minimal --json -- sh -c "$fill"
check_has "as JSON" '"kind":"disk_full".*"kind":"limit","subject":"disk"' "$(<"$dir/out")"
check_status 0 run --profile minimal --require disk -- true
check_status 125 run --profile python-dev --require disk -- true
check_has "a directory without a quota" '/workspace is a writable directory of the host' "$(<"$dir/err")"
check_status 0 run --profile python-dev --verbose -- true
check_has "is told" '^degraded disk: .*no quota' "$(<"$dir/err")"
check_status 0 run --profile python-dev --no-workspace --require disk -- true
# in a sandbox that stays, a limit that one program meets is not laid to another that fails meanwhile
if aisbx run --require cgroup -- true 2>"$dir/err"; then
    id=$(aisbx create --profile python-dev --no-workspace --memory 64m)
    aisbx exec --json "$id" -- sh -c 'touch /tmp/up; until [ -e /tmp/go ]; do sleep 0.1; done; exit 3' >"$dir/other" &
    other=$!
    check_status 137 exec "$id" -- sh -c 'until [ -e /tmp/up ]; do sleep 0.1; done; exec python3 -c "bytearray(1 << 30)"'
    check_has "who met it" "out of memory" "$(<"$dir/err")"
    check_status 0 exec "$id" -- touch /tmp/go
    wait "$other" || true
    check_has "who did not" '"kind":"exited","exit_code":3' "$(<"$dir/other")"
    check_has "is told of it" '"subject":"memory"' "$(<"$dir/other")"
    aisbx destroy "$id" >/dev/null
fi
check_status 124 run --timeout 200ms --verbose -- sleep 60
check_has "wall" '^met limit wall, 1x .*limits.wall: 200ms (the request); to allow more: limits: {wall: 400ms} in the request; its profile gives 5m' "$(<"$dir/err")"
check_status 124 run --profile strict --timeout 200ms --json -- sleep 60
check_has "no profile has to change for it" '"allow_with":"limits: {wall: 400ms} in the request' "$(<"$dir/out")"
aisbx worker stop
