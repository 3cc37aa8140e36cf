#!/usr/bin/env bash
# A signal to aisbx ends everything the program started, daemons included, before aisbx returns.
source "$(dirname "$0")/common.sh"
work

# Processes on this machine whose command line holds our mark.
marked() { pgrep -f -- "sleep $1" >/dev/null; }
gone() { ! marked "$1"; }

tree='setsid sleep '"$$"'1.5 </dev/null >/dev/null 2>&1 & (trap "" INT TERM HUP; sleep '"$$"'2.5) & echo ready; wait'
aisbx run true # the worker is up

for row in INT:130 TERM:143 HUP:129 QUIT:131; do
    signal=${row%:*}
    : >"$dir/ready"
    start run --profile python-dev -- sh -c "$tree" >"$dir/ready" 2>"$dir/err"
    wait_for "the program" grep -q ready "$dir/ready"
    marked "$$"1.5 || fail "no daemon was started"
    kill "-$signal" "$pid"
    status=0
    wait "$pid" || status=$?
    check_text "status after SIG$signal" "${row#*:}" "$status"
    gone "$$"1.5 || fail "SIG$signal: the daemon outlived aisbx"
    gone "$$"2.5 || fail "SIG$signal: a child that ignores signals outlived aisbx"
    check_text "sandboxes after SIG$signal" '' "$(aisbx list --quiet)"
done

# Killed without a chance to say anything: the worker sees the connection end.
: >"$dir/ready"
start run --profile python-dev -- sh -c "$tree" >"$dir/ready" 2>"$dir/err"
wait_for "the program" grep -q ready "$dir/ready"
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
wait_for "the daemon to go after SIGKILL" gone "$$"1.5
wait_for "the child to go after SIGKILL" gone "$$"2.5

# In a sandbox that stays, only the program's own tree goes.
id=$(aisbx create --profile python-dev)
aisbx exec "$id" sh -c 'sleep '"$$"'3.5 >/dev/null 2>&1 </dev/null & echo'
: >"$dir/ready"
start exec "$id" sh -c "$tree" >"$dir/ready" 2>"$dir/err"
wait_for "the program" grep -q ready "$dir/ready"
kill -INT "$pid"
status=0
wait "$pid" || status=$?
check_text "status of exec after SIGINT" 130 "$status"
gone "$$"1.5 || fail "exec: the daemon outlived aisbx"
marked "$$"3.5 || fail "exec: the other program's process is gone"
aisbx destroy "$id" >"$dir/out"
gone "$$"3.5 || fail "destroy left a process"

# Ignored when aisbx started: stays ignored, as under nohup.
(
    trap '' HUP
    start run -- sh -c 'echo ready; sleep 0.5; echo over' >"$dir/ready"
    wait_for "the program" grep -q ready "$dir/ready"
    kill -HUP "$pid"
    wait "$pid" || fail "ignored SIGHUP ended aisbx"
    grep -q over "$dir/ready" || fail "ignored SIGHUP ended the program"
    pids=()
    trap - EXIT
)

# Ctrl-C goes to all of a terminal's group: a worker in the foreground lets calls end first, as on SIGTERM to it alone.
worker=("${program[@]}")
worker[-1]=${worker[-1]}-worker
for signal in INT TERM; do
    set -m
    "${worker[@]}" --listen "unix:$runtime/own.sock" --state-dir "$runtime/own" 2>"$dir/worker.log" &
    worker_pid=$!
    set +m
    pids+=("$worker_pid")
    wait_for "a worker in the foreground" aisbx --address "unix:$runtime/own.sock" list
    : >"$dir/ready"
    start --address "unix:$runtime/own.sock" run --no-workspace -- sh -c 'echo ready; sleep 1; echo over' >"$dir/ready" 2>"$dir/err"
    wait_for "the program" grep -q ready "$dir/ready"
    kill "-$signal" -- "-$worker_pid"
    wait "$pid" || fail "SIG$signal to the worker's group: $(<"$dir/err")"
    grep -q over "$dir/ready" || fail "SIG$signal to the worker's group ended the program"
    wait "$worker_pid" || fail "SIG$signal to the worker's group: $(tail -n 5 "$dir/worker.log")"
    ! grep -q "spawner lost" "$dir/worker.log" || fail "SIG$signal to the worker's group ended the spawner"
done
