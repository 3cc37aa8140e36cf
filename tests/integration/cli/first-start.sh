#!/usr/bin/env bash
# The worker of one's own: started by the first call, only once, and with nothing of its starter's.
source "$(dirname "$0")/common.sh"
work

# Ten at once on a fresh machine: all succeed, by one worker.
started=()
for i in 1 2 3 4 5 6 7 8 9 10; do
    start run -- sh -c "exit $i"
    started+=("$pid")
done
for i in 1 2 3 4 5 6 7 8 9 10; do
    status=0
    wait "${started[i - 1]}" || status=$?
    check_text "status of call $i" "$i" "$status"
done
worker=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
check_text "workers that listened" 1 "$(grep -c 'msg=listening' "$runtime"/worker.log*)"
aisbx worker stop

# It keeps neither descriptors nor secrets nor the directory of who started it.
export SECRET_OF_TEST=shh
check_text "returns although the worker lives on" ok "$(exec 7>"$dir/held"; timeout 30 "$BASH" -c 'cat' < <(aisbx run echo ok))"
worker=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
if [[ $(id -u) -eq 0 ]]; then # nobody else may look into a worker, its own user included
    ! tr '\0' '\n' <"/proc/$worker/environ" | grep -q SECRET_OF_TEST || fail "the worker knows a secret of its starter"
    for fd in "/proc/$worker/fd/"*; do
        [[ $(readlink "$fd") != "$dir/held" ]] || fail "the worker holds a descriptor of its starter"
    done
    check_text "its directory" / "$(readlink "/proc/$worker/cwd")"
fi
check_text "what was stopped" "{\"stopped\":true,\"pid\":$worker}" "$(aisbx worker stop --json)"
check_text "that nothing was" '{"stopped":false}' "$(aisbx worker stop --json)"

# A socket that nobody serves is no obstacle, nor is a worker that was killed.
check_status 0 run true
worker=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
kill -KILL "$worker"
wait_for "worker $worker to end" test ! -e "/proc/$worker"
check_status 0 run true

# Killed while a program runs: that is a verdict, and what was written until then is not lost.
worker=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
: >"$dir/json"
start run --json -- sh -c 'echo before; exec sleep 1000' >"$dir/json" 2>"$dir/err"
has_written() { aisbx logs "$(aisbx list --quiet)" | grep -q before; }
wait_for "the program" has_written
kill -KILL "$worker"
status=0
wait "$pid" || status=$?
check_text "status after the worker was killed" 125 "$status"
check_has "output until then" '"stdout":"before\\n"' "$(<"$dir/json")"
check_has "verdict" '"kind":"worker_lost"' "$(<"$dir/json")"
check_has "message" "connection to the worker was lost" "$(<"$dir/err")"

# Asked to stop while a program runs, it takes its time; who comes meanwhile waits for its successor.
: >"$dir/ready"
start run -- sh -c 'echo ready; exec sleep 1000' >"$dir/ready" 2>"$dir/err"
wait_for "the program" grep -q ready "$dir/ready"
busy=$pid
start worker stop 2>"$dir/stop"
stopping=$pid
wait_for "the worker to refuse" sh -c "! timeout 1 '$bin/aisbx' --address 'unix:$runtime/worker.sock' list"
check_text "a run meanwhile" ok "$(aisbx run echo ok 2>"$dir/err")"
wait "$stopping" || fail "worker stop: $(<"$dir/stop")"
status=0
wait "$busy" || status=$?
check_text "status of the program that ran" 125 "$status"

# A worker that cannot start says why.
aisbx worker stop
if [[ $who == root || $(id -u) -ne 0 ]]; then
    broken=$dir/broken
    mkdir "$broken"
    cp "$bin/aisbx" "$broken"
    printf '#!/bin/sh\necho "ERROR no luck today" >&3\nexit 1\n' >"$broken/aisbx-worker"
    chmod 755 "$broken/aisbx-worker"
    status=0
    "$broken/aisbx" run true 2>"$dir/err" || status=$?
    check_text "status" 125 "$status"
    check_has "reason" "did not start: no luck today" "$(<"$dir/err")"
    check_has "log" "hint: .*worker.log" "$(<"$dir/err")"
    printf '#!/bin/sh\nkill -SEGV $$\n' >"$broken/aisbx-worker"
    "$broken/aisbx" run true 2>"$dir/err" && fail "a worker that crashes: status 0"
    check_has "crash" "signal 11" "$(<"$dir/err")"
    rm "$broken/aisbx-worker"
    PATH=/nonexistent "$broken/aisbx" run true 2>"$dir/err" && fail "no worker: status 0"
    check_has "no worker" "aisbx-worker is neither" "$(<"$dir/err")"
fi
