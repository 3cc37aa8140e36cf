#!/usr/bin/env bash
# tidy.sh root|user: a worker that ends in good order leaves nothing where it listened; of one that did not its log stays,
# and what belongs to another worker is left alone.
source "$(dirname "$0")/common.sh"
work
as=("${program[@]:0:${#program[@]}-1}")
bins=$(dirname "${program[-1]}")

# Records stay, of course.
left() { (cd "$runtime" 2>/dev/null && ls -A -I output -I '*.state') | xargs; }
none_left() { [[ -z $(left) ]]; }

# ---- one that aisbx started ----
aisbx run --profile strict -- true
check_has "what it made" 'start.lock worker.log worker.sock worker.sock.config worker.sock.lock' "$(left)"
aisbx worker stop
wait_for "the worker to tidy up; left: $(left)" none_left
check_text "another one" hello "$(aisbx run --profile strict -- echo hello)"

# ---- two with one directory: each its own ----
cat >other.yaml <<<'profiles: {mine: {extends: strict}}'
chmod 644 other.yaml
AISBX_CONFIG_PATH=$PWD/other.yaml aisbx run --profile mine -- true
AISBX_CONFIG_PATH=$PWD/other.yaml aisbx worker stop
only_first() { [[ $(left) == 'start.lock worker.log worker.sock worker.sock.config worker.sock.lock' ]]; }
wait_for "the second to tidy up" only_first
check_text "the first serves on" hello "$(aisbx run --profile strict -- echo hello)"
aisbx worker stop
wait_for "the first to tidy up" none_left

# ---- one comes while another one goes: nobody is served by a socket that is not there ----
# Each stop ends before the next: a worker that is told twice is in a hurry, and ends what runs.
for i in 1 2 3 4 5 6; do
    { aisbx worker stop >/dev/null 2>&1 || true; } &
    stop=$!
    check_text "run $i" "$i" "$(aisbx run --profile strict -- echo "$i")"
    wait "$stop"
done
aisbx worker stop >/dev/null 2>&1 || true
# A log that the next one put aside is nobody's any more.
but_old() { [[ -z $(left) || $(left) == worker.log.old ]]; }
wait_for "the last to tidy up" but_old
rm -f "$runtime/worker.log.old"

# ---- one that was killed: its log tells, and the next one does not mind the rest ----
aisbx run --profile strict -- true
victim=$(aisbx worker info --json | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
kill -KILL "$victim"
gone() { ! kill -0 "$victim" 2>/dev/null; }
wait_for "the end of the worker" gone
check_has "its log" 'worker.log' "$(left)"
check_text "the next one" hello "$(aisbx run --profile strict -- echo hello)"
aisbx worker stop
only_old() { [[ $(left) == worker.log.old ]]; }
wait_for "the next one to tidy up" only_old

# ---- one with a socket of its own: that and its lock; nothing else is its ----
"${as[@]}" mkdir "$runtime/own"
"${as[@]}" touch "$runtime/own/worker.log" "$runtime/own/start.lock"
"${as[@]}" "$bins/aisbx-worker" --listen "unix:$runtime/own/w.sock" >/dev/null 2>&1 &
pid=$!
pids+=("$pid")
wait_for "the worker" test -S "$runtime/own/w.sock"
check_text "it serves" hello "$(aisbx --address "unix:$runtime/own/w.sock" run --profile strict -- echo hello)"
aisbx --address "unix:$runtime/own/w.sock" worker stop || kill "$pid"
wait "$pid" || true
check_text "what is left" 'start.lock w.state worker.log' "$(ls -A "$runtime/own" | xargs)"
