#!/usr/bin/env bash
# The share of the processors that all sandboxes of a worker have together, as the kernel says it. No sandbox is started:
# one that is idle may get nothing on a busy machine.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/common.sh"

# below PID: it and all that it started.
below() {
    local pid=$1 child
    echo "$pid"
    for child in $(<"/proc/$pid/task/$pid/children"); do
        below "$child"
    done
}

# shares WEIGHT: what the groups of a worker with it say, a line each, of the files that the kernel has.
shares() {
    local weight=$1 worker pid file
    work
    "${program[@]::${#program[@]}-1}" "${program[-1]}-worker" --listen "unix:$PWD/w.sock" --cpu-weight "$weight" 2>"$dir/log" &
    worker=$!
    pids+=("$worker")
    wait_for "a worker" aisbx --address "unix:$PWD/w.sock" worker info
    for pid in $(below "$worker"); do
        # Groups of others go while it looks.
        { find /sys/fs/cgroup -path "*/aisbx-$pid/cpu.*" \( -name cpu.idle -o -name cpu.weight -o -name cpu.shares \) \
            -not -path '*/aisbx-*/*/*' 2>/dev/null || true; } |
            while read -r file; do
                echo "${file##*/} $(<"$file")"
            done
    done >"$dir/shares"
    kill "$worker"
    wait "$worker" || true
}

shares 10
[[ -s $dir/shares ]] || skip "no group with a controller of processors"
grep -qxE 'cpu.weight 10|cpu.shares 104' "$dir/shares" || fail "--cpu-weight 10 is $(<"$dir/shares")"
if grep -q '^cpu.idle' "$dir/shares"; then
    grep -qx 'cpu.idle 0' "$dir/shares" || fail "--cpu-weight 10 is $(<"$dir/shares")"
    wanted='cpu.idle 1'
else
    wanted='cpu.weight 1|cpu.shares 12'
fi
shares idle
grep -qxE "$wanted" "$dir/shares" || fail "--cpu-weight idle is $(<"$dir/shares")"
if [[ $wanted != 'cpu.idle 1' ]]; then
    grep -q 'no cpu.idle' "$dir/log" || fail "the log does not say that there is no cpu.idle"
fi

! "$bin/aisbx-worker" --listen "unix:$dir/w.sock" --cpu-weight most 2>"$dir/err" || fail "--cpu-weight most is accepted"
check_has "an unknown weight" ", or idle" "$(<"$dir/err")"
