#!/usr/bin/env bash
# snapshot, snapshots, fork, rollback and create --snapshot. WHO [copy]: copy, as on a kernel that has no overlay for it.
source "$(dirname "$0")/common.sh"
work

if [[ ${2:-} == copy ]]; then
    "${program[@]::${#program[@]}-1}" "${program[-1]}-worker" --listen "unix:$PWD/w.sock" --snapshots copy 2>"$dir/log" &
    pids+=($!)
    export AISBX_ADDRESS=unix:$PWD/w.sock
    wait_for "a worker" aisbx worker info
fi
way=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["snapshots"])')
[[ $way == "${2:-$way}" && $way =~ ^(overlay|copy)$ ]] || fail "snapshots: $way"
# by_way OVERLAY COPY: what is to be seen of the one and the other.
by_way() { if [[ $way == overlay ]]; then echo "$1"; else echo "$2"; fi; }

new() { aisbx create --profile python-dev --no-workspace "$@"; }
field() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."): value = value[int(key) if key.isdigit() else key]
print(value)' "$1"; }

# ---- snapshot, and sandboxes that start from it ----
sb=$(new --label team=red --ttl 1h)
aisbx exec "$sb" sh -c 'echo one >f; ln f g; echo t >/tmp/t; mkdir d; echo x >d/x; chmod 600 f'
sn=$(aisbx snapshot --title 'first of all' "$sb")
[[ $sn =~ ^sn_[a-z0-9]{26}$ ]] || fail "snapshot printed '$sn'"
check_has "list" "$sn  *$sb .*first of all" "$(aisbx snapshots)"
check_text "list of a sandbox" "$sn" "$(aisbx snapshots --quiet "$sb")"
check_text "what it keeps" "['/tmp', '/workspace']" "$(aisbx snapshots --json | field 0.paths)"
aisbx exec "$sb" sh -c 'echo two >f; rm -r d /tmp/t'
from=$(aisbx create --profile python-dev --snapshot "${sn:0:14}")
check_text "from a snapshot" "$(printf 'one\none\nt\nx\n600 2')" "$(aisbx exec "$from" sh -c 'cat f g /tmp/t d/x; stat -c "%a %h" f | sed s/1$/2/')"
check_text "the source goes on" "$(printf 'two\nf\ng')" "$(aisbx exec "$sb" sh -c 'cat f; ls')"
check_text "of which" "$sn" "$(aisbx list --json | field 0.snapshot_id)"

# What changed alone is copied of one that started on a snapshot.
aisbx exec "$from" sh -c 'echo three >f'
second=$(aisbx snapshot --json "$from")
check_text "method" "$(by_way changes copy)" "$(field method <<<"$second")"
check_text "stands on" "$(by_way "$sn" '')" "$(field base_snapshot_id <<<"$second")"
check_text "copied" "$(by_way 6 10)" "$(field copied_bytes <<<"$second")"

# ---- diff ----
other=$(new)
check_text "nothing yet" '' "$(aisbx diff "$other")"
aisbx exec "$other" sh -c 'mkdir -p d/e; echo x >d/e/x; echo same >same; echo a >mode; ln -s a link; echo t >/tmp/t; echo z >gone; mkdir old; echo o >old/o'
check_text "all is new" "A /tmp/t A /workspace/d A /workspace/d/e A /workspace/d/e/x A /workspace/gone A /workspace/link A /workspace/mode A /workspace/old A /workspace/old/o A /workspace/same" \
    "$(aisbx diff "$other" | sort | xargs)"
mark=$(aisbx snapshot "$other")
check_text "nothing since" '' "$(aisbx diff "$other" "$mark")"
aisbx exec "$other" sh -c 'touch -r same ref; echo SAME >same; touch -r ref same; rm ref gone; rm -r old; chmod 600 mode; ln -sf b link; rm d/e/x; mkdir d/e/x; touch "$(printf "d/new\\nline")"; touch d/e'
check_text "since" "D /workspace/gone D /workspace/old M /workspace/d/e/x M /workspace/link M /workspace/mode M /workspace/same" \
    "$(aisbx diff "$other" "$mark" | grep -v new | sort | xargs)"
check_text "a name with a newline" created "$(aisbx diff --json "$other" "$mark" | python3 -c 'import json, sys
print(*(c["kind"] for c in json.load(sys.stdin) if c["file"]["path"] == "/workspace/d/new\nline"))')"
child=$(aisbx fork "$other")
check_text "of a fork" '' "$(aisbx diff "$child")"
aisbx exec "$child" sh -c 'rm -r d; mkdir d; echo 1 >d/1; echo more >>same'
check_text "of a fork" "A /workspace/d/1 D /workspace/d/e M /workspace/same" "$(aisbx diff "$child" | grep -v new | sort | xargs)"
check_status 0 snapshot "$child"
grand=$(aisbx fork "$child")
aisbx exec "$grand" sh -c 'rm d/1'
check_text "of a chain" "D /workspace/d/1" "$(aisbx diff "$grand")"
check_text "paths alone" "/workspace/d/1" "$(aisbx diff --quiet "$grand")"
check_text "many" 500 "$(aisbx exec "$grand" sh -c 'mkdir m; cd m; seq 499 | xargs touch' && aisbx diff "$grand" | grep -c /m)"
check_status 1 diff "$grand" sn_aaaaaaaaaaaaaaaaaaaaaaaaaa
# Who does not read holds what compares; one tenant does not hold all of it.
aisbx exec "$grand" sh -c 'cd /workspace/m; i=0; while [ $i -lt 60 ]; do seq -f "$(printf %060d $i)-%g" 100 | xargs touch; i=$((i+1)); done'
readers=()
for i in 1 2 3 4 5 6 7 8; do
    mkfifo "$dir/diff$i"
    aisbx diff "$grand" >"$dir/diff$i" 2>"$dir/diff$i.err" &
    readers+=("$!")
    exec {fd}<"$dir/diff$i"
    IFS= read -r -n 1 -u "$fd" || fail "diff $i: $(<"$dir/diff$i.err")"
done
! aisbx diff "$grand" >"$dir/out" 2>"$dir/err" || fail "a ninth comparison"
grep -q "8 calls of this tenant" "$dir/err" || fail "a ninth comparison: $(<"$dir/err")"
kill "${readers[@]}"
wait "${readers[@]}" || true
aisbx destroy "$other" "$child" "$grand" >"$dir/out"
aisbx snapshots --quiet "$other" | xargs "${program[@]}" snapshots --delete
aisbx snapshots --quiet "$child" | xargs "${program[@]}" snapshots --delete

# ---- rollback ----
ex=$(aisbx exec --detach "$sb" sleep 1000)
check_text "rollback" "$sb" "$(aisbx rollback "$sb" "$sn")"
check_text "is back" "$(printf 'one\nt\nx')" "$(aisbx exec "$sb" cat f /tmp/t d/x)"
check_has "verdict" '"kind":"cancelled".*"source":"call.rollback_sandbox"' "$(aisbx logs --json "$ex")"
check_has "labels stay" "$sb.*team=red" "$(aisbx list --label team=red)"
[[ $(aisbx list --json --label team=red | field 0.expire_time) > $(date -u +%FT%T) ]] || fail "its time was lost"
check_text "again, and programs run" hello "$(aisbx rollback "$sb" "$sn" >/dev/null && aisbx exec "$sb" echo hello)"
check_status 1 rollback "$sb" "$(field snapshot_id <<<"$second")"
check_has "of another" "is of another sandbox; aisbx create --snapshot" "$(<"$dir/err")"
check_text "to what it started from" "$from" "$(aisbx rollback "$from" "$sn")"
check_text "is back" one "$(aisbx exec "$from" cat f)"

# ---- fork ----
aisbx exec "$sb" sh -c 'echo base >f'
ex=$(aisbx exec --detach "$sb" sleep 1000)
count=20
[[ $who == root && $way == overlay ]] || count=6 # many are made the same way by whoever it is
aisbx fork "$sb" --count "$count" >"$dir/forks" 2>"$dir/err" || fail "fork: $(<"$dir/err")"
check_text "as many" "$count" "$(sort -u "$dir/forks" | wc -l)"
check_has "execs are not copied" "1 exec of $sb was not copied" "$(<"$dir/err")"
check_text "labels" $((count + 1)) "$(aisbx list --quiet --label team=red | wc -l)"
n=0
while read -r fork; do
    check_text "fork $n" base "$(aisbx exec "$fork" sh -c "cat f; echo $n >f" </dev/null)"
    ((n += 1))
done <"$dir/forks"
n=0
while read -r fork; do
    check_text "fork $n apart" $n "$(aisbx exec "$fork" cat f </dev/null)"
    ((n += 1))
done <"$dir/forks"
check_text "each is written down" "$(sort "$dir/forks")" "$("${program[@]::${#program[@]}-1}" "${program[-1]}-security" audit query --action sandbox.forked \
    --json | python3 -c 'import json, sys
print(*sorted(r["sandbox_id"] for r in json.load(sys.stdin) if r["detail"]["forked_from"] == sys.argv[1]), sep="\n")' "$sb")"
check_text "the source is as it was" base "$(aisbx exec "$sb" cat f)"
check_text "not listed" 2 "$(aisbx snapshots --quiet | wc -l)"
check_text "fork of" "$sb" "$(aisbx list --json | field 0.forked_from)"
check_status 2 fork "$sb" --count 257
if [[ $who == root ]]; then
    ids=$(for fork in $(head -3 "$dir/forks"); do
        aisbx list --json | python3 -c "import json, sys
print(next(s['init_pid'] for s in json.load(sys.stdin) if s['sandbox_id'] == '$fork'))"
    done | while read -r pid; do awk '/^Uid/ { print $3 }' "/proc/$pid/status"; done)
    check_text "ids of their own" 3 "$(sort -u <<<"$ids" | wc -l)"
fi
xargs "${program[@]}" destroy <"$dir/forks" >"$dir/out"

# ---- what was made and cannot be printed is named ----
if [[ -c /dev/full ]]; then
    status=0
    aisbx snapshot "$sb" >/dev/full 2>"$dir/err" || status=$?
    check_text "snapshot to a full device" 1 "$status"
    check_has "snapshot to a full device" 'snapshot sn_[a-z0-9]* was made: .*No space left' "$(<"$dir/err")"
    aisbx snapshots --delete "$(grep -o 'sn_[a-z0-9]*' "$dir/err")"
    status=0
    aisbx fork "$sb" --count 2 >/dev/full 2>"$dir/err" || status=$?
    check_text "fork to a full device" 1 "$status"
    check_has "fork to a full device" 'No space left' "$(<"$dir/err")"
    check_text "fork to a full device names both" 2 "$(grep -c 'sandbox sb_[a-z0-9]* was made' "$dir/err")"
    sed -n 's/.*sandbox \(sb_[a-z0-9]*\) was made.*/\1/p' "$dir/err" | xargs "${program[@]}" destroy >"$dir/out"
fi

# ---- a copy has to fit ----
if [[ $way == copy ]]; then
    aisbx exec "$sb" sh -c 'head -c 3000000 /dev/zero >big'
    large=$(aisbx snapshot "$sb")
    check_status 1 create --profile python-dev --snapshot "$large" --disk 2m
    check_has "disk" "no space is left for content" "$(<"$dir/err")"
    check_status 0 snapshots --delete "$large"
    aisbx exec "$sb" rm big
    check_status 125 run --profile python-dev -w .:overlay true
    check_has "no overlay at all" "no directory can be bound copy-on-write here" "$(<"$dir/err")"
fi

# ---- a paused one ----
if aisbx pause "$sb" 2>"$dir/err"; then
    check_text "of a paused one" base "$(aisbx exec "$(aisbx fork "$sb")" cat f)"
    aisbx resume "$sb" >"$dir/out"
    check_has "goes on" '"state":"running"' "$(aisbx list --json --label team=red)"
    check_text "goes on" base "$(aisbx exec "$sb" cat f)"
fi

# ---- a host directory ----
aisbx run -p python-dev -w .:rw sh -c "echo mine >f" >"$dir/out"
bound=$(aisbx create --profile python-dev -w .)
half=$(aisbx snapshot "$bound" 2>"$dir/err")
check_has "says what it is" "/workspace is a directory of the host" "$(<"$dir/err")"
check_text "the directory stays" mine "$(aisbx rollback "$bound" "$half" >/dev/null && aisbx exec "$bound" cat f)"

# ---- it outlives its source, and ends when it is told to ----
aisbx destroy "$sb" >"$dir/out"
last=$(aisbx create --profile python-dev --snapshot "$sn")
check_status 0 snapshots --delete "$sn"
check_text "still there" one "$(aisbx exec "$last" cat f)"
check_status 1 create --snapshot "$sn"
check_has "what to do" "aisbx snapshots shows" "$(<"$dir/err")"
check_status 1 rollback "$last" "$sn"
check_status 1 snapshot "$sb"
check_status 1 snapshot sb_aaaaaaaaaaaaaaaaaaaaaaaaaa
check_status 1 snapshots --delete sn_aaaaaaaaaaaaaaaaaaaaaaaaaa

# ---- other drivers say so ----
if [[ $who == root ]]; then
    weak=$(aisbx create --profile python-dev --no-workspace --driver chroot )
    check_status 1 snapshot "$weak"
    check_has "driver" "take the driver native" "$(<"$dir/err")"
fi
