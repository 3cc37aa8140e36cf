#!/usr/bin/env bash
# pause, resume and update: where there is a freezer, what lies frozen, and what happens to it; where there is none, that
# it is said. As root once more without the hierarchy of version 2, with the freezer of version 1.
self=$(realpath "$0")
source "$(dirname "$0")/common.sh"
work

id=$(aisbx create --profile minimal)

# ---- update ----
check_text "update" "$id" "$(aisbx update --ttl 1h --label a=b --label c=d "$id")"
check_has "labels" "$id.*a=b,c=d" "$(aisbx list)"
expire() { aisbx list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0].get("expire_time", "never"))'; }
[[ $(expire) == 20* ]] || fail "update --ttl: $(expire)"
aisbx update --no-ttl --no-labels "$id" >"$dir/out"
check_text "no TTL" never "$(expire)"
check_text "no labels" '' "$(aisbx list --quiet --label a=b)"
check_has "idle limit" '"idle_ms":3600000' "$(aisbx update --json --idle 1h "$id")"
check_has "no idle limit" '"idle_ms":0' "$(aisbx update --json --no-idle "$id")"
check_status 2 update "$id"
check_status 2 update --ttl 1h --no-ttl "$id"
check_status 1 update --ttl 1h sb_aaaaaaaaaaaaaaaaaaaaaaaaaa

if ! aisbx pause "$id" >"$dir/out" 2>"$dir/err"; then
    [[ $who == user ]] || fail "root cannot pause: $(<"$dir/err")"
    check_has "how to have it" "control group.*systemd-run --user --scope -p Delegate=yes" "$(<"$dir/err")"
    check_text "it runs on" yes "$(aisbx exec "$id" echo yes)"
    check_text "and is listed so" "$id" "$(aisbx list --quiet --state running)"
    exit 0
fi

# ---- frozen ----
if [[ -n ${AISBX_TEST_FREEZER:-} ]]; then
    { find /sys/fs/cgroup/freezer -path "*/$id-*" -name freezer.state -exec cat {} + 2>/dev/null || true; } | grep -x FROZEN >/dev/null ||
        fail "it is not frozen by version 1"
fi
check_text "paused twice" "$id" "$(aisbx pause "$id")"
check_text "in lists" "$id" "$(aisbx list --quiet)"
check_text "by state" "$id" "$(aisbx list --quiet --state paused)"
check_text "by another" '' "$(aisbx list --quiet --state running,starting)"
check_status 2 list --state froze
check_status 2 list --all --state paused
check_status 1 ls "$id"
check_has "files" "aisbx resume" "$(<"$dir/err")"
start exec "$id" echo waited >"$dir/waited"
wait_for "the exec is there" eval "aisbx list | grep -E '$id.* paused .* 1 '"
[[ ! -s $dir/waited ]] || fail "an exec ran in a paused sandbox"
check_text "resume" "$id" "$(aisbx resume "$id")"
wait "$pid" || fail "the exec that waited: status $?"
check_text "it waited" waited "$(<"$dir/waited")"
check_text "resumed twice" "$id" "$(aisbx resume "$id")"

# ---- nothing runs ----
ex=$(aisbx exec --detach "$id" sh -c 'while :; do echo tick; sleep 0.01; done')
written() { aisbx logs --stdout --json "$ex" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["stdout"]))'; }
wait_for "ticks" eval '[[ $(written) -gt 0 ]]'
aisbx pause "$id" >"$dir/out"
last=-1
settled() { local now; now=$(written) && [[ $now == "$last" ]] && return; last=$now; return 1; }
wait_for "the pipe is read empty" settled
sleep 1
check_text "no more ticks" "$last" "$(written)"
aisbx resume "$id" >"$dir/out"
wait_for "ticks go on" eval "[[ \$(written) -gt $last ]]"

# ---- the end ----
aisbx pause "$id" >"$dir/out"
check_text "a frozen one is destroyed" "$id" "$(aisbx destroy "$id")"
check_status 1 resume "$id"
check_has "says what it is" "destroyed" "$(<"$dir/err")"
check_status 1 pause sb_aaaaaaaaaaaaaaaaaaaaaaaaaa

id=$(aisbx create --profile minimal)
aisbx pause "$id" >"$dir/out"
aisbx update --idle 100ms "$id" >"$dir/out"
sleep 1
check_text "not idle" "$id" "$(aisbx list --quiet --state paused)"
aisbx update --ttl 100ms "$id" >"$dir/out"
wait_for "TTL of a paused one" eval "aisbx list --quiet --state destroyed | grep -x $id"
check_text "says why" ttl "$(aisbx list --json --state destroyed | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["destroy_reason"])')"

# A worker that ends takes frozen ones along.
id=$(aisbx create --profile minimal)
aisbx exec --detach "$id" sleep "4$$" >"$dir/out"
wait_for "it runs" pgrep -f -x "sleep 4$$"
aisbx pause "$id" >"$dir/out"
stop_embedded
wait_for "nothing is left" eval "! pgrep -f -x 'sleep 4$$'"

# ---- once more, by the freezer of version 1 ----
unified=$(awk '$9 == "cgroup2" || $8 == "cgroup2" {print $5}' /proc/self/mountinfo | head -n 1)
if [[ $who == root && -d /sys/fs/cgroup/freezer && -n $unified && -z ${AISBX_TEST_FREEZER:-} ]]; then
    AISBX_TEST_FREEZER=1 AISBX_BIN=$bin unshare --mount "$BASH" -c "umount '$unified' && exec '$BASH' '$self' root"
fi
