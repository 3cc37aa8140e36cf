#!/usr/bin/env bash
# A program's exit status, streams, environment and workspace come through aisbx run unchanged.
source "$(dirname "$0")/common.sh"
work
# Here the command line looks for leaks, too; elsewhere it leaves that out (cli/sanitized.c).
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=1

# ---- statuses ----
check_status 0 run -- true
check_status 3 run -- sh -c 'exit 3'
check_status 255 run -- sh -c 'exit 255'
check_status 137 run -- sh -c 'kill -9 $$'
check_has "signalled" "signal 9" "$(<"$dir/err")"
check_status 139 run -- sh -c 'kill -SEGV $$'
check_status 124 run --timeout 200ms -- sleep 60
check_has "timed out" "hint:" "$(<"$dir/err")"
check_status 127 run -- no-such-command
check_status 127 run -- ./no-such-file
: >not-executable
check_status 126 run -- ./not-executable
check_status 125 run --profile no-such-profile -- true
check_status 125 run --no-such-option -- true
check_status 125 run
check_status 125 run ''
check_text "no name" "aisbx: the name of the program is empty" "$(head -n 1 "$dir/err")"
check_status 125 run --driver bwrap --require landlock -- true
check_status 125 --address "unix:$dir/nobody" run -- true
check_has "nobody listens" "cannot connect" "$(<"$dir/err")"

# ---- the job itself ----
cat >hello.py <<'PY'
import sys
print("hello", *sys.argv[1:])
sys.exit(7)
PY
got=$(aisbx run --profile python-dev python3 hello.py a 'b c') && fail "hello.py: status 0" || status=$?
check_text "hello.py" "hello a b c" "$got"
check_text "status of hello.py" 7 "$status"

# ---- streams ----
aisbx run -- sh -c 'echo out; echo err >&2' >"$dir/out" 2>"$dir/err"
check_text "stdout" out "$(<"$dir/out")"
check_text "stderr" err "$(<"$dir/err")"
check_text "stdin by pipe" 'a b' "$(echo 'a b' | aisbx run cat)"
check_text "no stdin" '' "$(echo 'a b' | aisbx run --no-stdin cat)"
check_text "empty stdin" 0 "$(aisbx run wc -c </dev/null)"

head -c 50000000 /dev/urandom >"$dir/data"
chmod 644 "$dir/data"
sum=$(sha256sum <"$dir/data")
check_text "50 MB in by pipe" "$sum" "$(cat "$dir/data" | aisbx run sha256sum)"
check_text "50 MB in by file" "$sum" "$(aisbx run sha256sum <"$dir/data")"
check_text "50 MB both ways by pipe" "$sum" "$(cat "$dir/data" | aisbx run --profile go-dev cat | sha256sum)"
aisbx run --profile go-dev cat <"$dir/data" >"$dir/copy"
check_text "50 MB both ways by file" "$sum" "$(sha256sum <"$dir/copy")"
aisbx run --profile go-dev cat <"$dir/data" >>"$dir/copy"
check_text "50 MB appended" 100000000 "$(stat -c %s "$dir/copy")"
rm -f "$dir/data" "$dir/copy"

status=0
aisbx run -- sh -c 'echo x; sleep 0.1; echo y' >&- 2>"$dir/err" || status=$?
check_text "closed stdout" 0 "$status"
# A closed stream is nobody's socket: it neither hangs nor takes what is meant for somebody else.
closed_in() { timeout 20 "${program[@]}" "$@" <&-; }
closed_all() { timeout 20 "${program[@]}" "$@" <&- >&- 2>&-; }
check_text "closed stdin" hi "$(closed_in run echo hi)"
check_text "closed stdin is empty" 0 "$(closed_in run wc -c)"
check_text "closed stdin of an interpreter" 2 "$(closed_in code -c 1+1)"
status=0
closed_all run true || status=$?
check_text "all streams closed" 0 "$status"
for verb in "profile list" "worker info" "create --no-workspace --ttl 1m" "code -c 1+1"; do
    status=0
    # shellcheck disable=SC2086
    timeout 20 "${program[@]}" $verb >&- 2>"$dir/err" || status=$?
    check_text "$verb to a closed stdout" 1 "$status"
    check_has "$verb to a closed stdout" "Bad file descriptor" "$(<"$dir/err")"
done
status=0
aisbx create --no-workspace --ttl 1m 2>"$dir/err" >&- || status=$?
id=$(grep -oE 'sb_[a-z2-7]{26}' "$dir/err") || fail "a sandbox was made and nobody is told which: $(<"$dir/err")"
check_status 0 destroy "$id"

set +o pipefail
check_text "reader that leaves" y "$(aisbx run yes 2>"$dir/err" | head -n 1)"
set -o pipefail
check_text "silence about it" '' "$(<"$dir/err")"
if [[ -c /dev/full ]]; then
    status=0
    aisbx run echo x >/dev/full 2>"$dir/err" || status=$?
    check_text "full device" 125 "$status"
    check_has "full device" "No space left" "$(<"$dir/err")"
fi

# ---- the limit of output ----
flood='head -c 1600000 /dev/zero; head -c 1600001 /dev/zero >&2; exit'
status=0
aisbx run --profile minimal -- sh -c "$flood 3" 2>"$dir/err" | cat >"$dir/out" || status=$?
check_text "a limit keeps the status" 3 "$status"
check_text "as much as the limit came through" 1048576 "$(stat -c %s "$dir/out")"
check_has "and the note says what did not" 'last .* of standard output were left out' "$(tr -d '\0' <"$dir/err")"
status=0
aisbx run --profile minimal -- sh -c "$flood 0" >"$dir/out" 2>/dev/null || status=$?
check_text "a part is no success" 125 "$status"
check_text "a file gets no more either" 1048576 "$(stat -c %s "$dir/out")"
status=0
aisbx run --json --profile minimal -- sh -c "$flood 0" >"$dir/out" || status=$?
check_text "as one object it is the program's" 0 "$status"
check_text "verdict of it" 'output_truncated 551424 551425' "$(python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
print(r["verdict"]["kind"], r["stdout_dropped_bytes"], r["stderr_dropped_bytes"])' "$dir/out")"
check_text "both outputs to one pipe keep their order" "$(seq 200)" \
    "$(aisbx run -- sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i >&$((1 + i % 2)); done' 2>&1)"
if [[ $who == root ]]; then # whose program cannot open the other end
    check_text "what is not read stays for the next one" b "$(printf 'a\nb\n' | (
        aisbx run -- true
        read -r _
        cat
    ))"
fi

# ---- environment ----
export PASSED='from outside' SECRET=shh
check_text "environment" 'from outside|set here|' \
    "$(aisbx run -e PASSED -e GIVEN='set here' -e ABSENT -- sh -c 'echo "$PASSED|$GIVEN|$SECRET"')"
printf '# comment\nONE=1\n\nTWO=two words\n' >vars
check_text "environment file" '1|two words' "$(aisbx run --env-file vars -- sh -c 'echo "$ONE|$TWO"')"

# ---- workspace ----
echo data >file
chmod 666 file
check_text "cwd" /workspace "$(aisbx run pwd)"
check_text "workspace is the current directory" data "$(aisbx run cat file)"
aisbx run --profile python-dev -- sh -c 'echo changed >file; echo new >made'
check_text "python-dev writes" changed "$(<file)"
check_text "owner of what it made" "$(stat -c %u .)" "$(stat -c %u made)"
check_status 2 run --profile strict -- sh -c 'echo x >file'
check_status 2 run --profile python-dev --workspace .:ro -- sh -c 'echo x >file'
check_text "nothing was written" changed "$(<file)"
check_status 0 run --profile python-dev --no-workspace -- sh -c 'test -z "$(ls -A)" && echo x >scratch'
[[ ! -e scratch ]] || fail "--no-workspace wrote into the current directory"
check_status 1 run --profile minimal -- test -e /workspace/file
mkdir sub
chmod 777 sub
check_text "named workspace" 'sub-file' "$(touch sub/sub-file; aisbx run --workspace sub ls)"
check_text "cwd option" /tmp "$(aisbx run --cwd /tmp pwd)"
check_status 126 run --cwd /etc/passwd pwd
check_has "a file as cwd" "/etc/passwd: not a directory" "$(<"$dir/err")"
check_text "mount" data2 "$(echo data2 >sub/d; chmod 666 sub/d; aisbx run --no-workspace --mount "$PWD/sub:/data" cat /data/d)"
check_status 2 run --profile python-dev --mount "$PWD/sub:/data" -- sh -c 'echo x >/data/d'
check_status 0 run --profile python-dev --mount "$PWD/sub:/data:rw" -- sh -c 'echo x >/data/d'
check_status 125 run --mount /no/such/dir -- true
check_has "missing mount" "/no/such/dir" "$(<"$dir/err")"
(cd / && aisbx run --profile python-dev ls) >"$dir/out" 2>"$dir/err"
check_text "/ is not the workspace" '' "$(<"$dir/out")"
check_has "a note says so" "not the workspace" "$(<"$dir/err")"

# ---- commands by path ----
printf '#!/bin/sh\necho "tool $1"\n' >tool
chmod 755 tool
check_text "relative path" 'tool 1' "$(aisbx run ./tool 1)"
check_text "absolute path below the workspace" 'tool 2' "$(aisbx run "$PWD/tool" 2)"
check_text "absolute path elsewhere" 'tool 3' "$(cd sub && aisbx run "$OLDPWD/tool" 3)"

# ---- reports ----
aisbx run --verbose --profile strict true 2>"$dir/err"
check_has "verbose" "sandbox sb_.*profile strict.*driver native" "$(<"$dir/err")"
check_has "verbose" "exited 0, wall " "$(<"$dir/err")"
status=0
aisbx run --json -- sh -c 'printf "a\"\377"; echo e >&2; exit 4' >"$dir/json" || status=$?
check_text "status with --json" 4 "$status"
python3 - "$dir/json" <<'PY' || fail "--json"
import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
r = json.loads(text)
assert text.count("\n") == 1
assert r["exit_status"] == 4 and r["verdict"]["kind"] == "exited" and r["verdict"]["exit_code"] == 4, r
assert r["stdout"] == 'a"\ufffd' and r["stdout_is_binary"], r
assert r["stderr"] == "e\n" and not r["stderr_is_binary"], r
assert r["usage"]["wall_ms"] >= 0 and r["sandbox"]["sandbox_id"].startswith("sb_"), r
PY
check_text "stdin with --json" abc "$(printf abc | aisbx run --json cat | python3 -c 'import json, sys; print(json.load(sys.stdin)["stdout"])')"
aisbx run --json --profile nope true >"$dir/json" 2>/dev/null && fail "nope: status 0"
check_text "error as JSON" NOT_FOUND "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["error"]["code"])' "$dir/json")"
