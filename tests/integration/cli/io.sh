#!/usr/bin/env bash
# Limits of input and output: in force on the disk of the workspace, or said to be missing and refused by a floor.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/common.sh"

cat >"$dir/io.yaml" <<'END'
profiles:
  slow: {extends: base, limits: {io_write: 1MiB, io_read: 512MiB, io_write_ops: 1000}}
  shared: {extends: base, limits: {io_weight: 50}}
END
chmod 644 "$dir/io.yaml"
export AISBX_CONFIG_PATH=$dir/io.yaml

check_status 0 profile explain slow
check_has "explained" 'limits.io_write  *1MiB' "$(<"$dir/out")"
check_status 0 profile explain shared
! grep -q 'limits.io_write' "$dir/out" || fail "a limit that nobody set is explained"
check_status 0 profile show slow
check_has "shown" 'io_write_ops: 1000' "$(<"$dir/out")"

work
has_io=false
! aisbx worker info | grep -q '^cgroup .*enforced.* io' || has_io=true
lies_on=$(stat -f -c %T .)
if $has_io && [[ $lies_on == ext* || $lies_on == xfs ]]; then
    # What the group says of the disk, while it lives.
    start run --profile slow --json -- /bin/sh -c 'sleep 60' >/dev/null
    is_set() {
        limits | grep -qE ' 1048576$|wbps=1048576'
    }
    limits() { find /sys/fs/cgroup -path '*/sb_*/blkio.throttle.write_bps_device' -exec cat {} + -o -path '*/sb_*/io.max' -exec cat {} + 2>/dev/null || true; }
    wait_for "the limit in a group" is_set
    kill "$pid"
    wait "$pid" || true
    # 3 MiB past the page cache take two seconds at least, as one may come at once; never more than a limit of time.
    began=$(date +%s%N)
    check_status 0 run --profile slow --workspace . -- dd if=/dev/zero of=x bs=64k count=48 oflag=direct status=none
    took_ms=$((($(date +%s%N) - began) / 1000000))
    ((took_ms >= 1500)) || fail "3 MiB at 1 MiB a second took $took_ms ms"
    aisbx run --profile slow --workspace . --require cgroup -- true || fail "a limit that is in force is refused"
elif $has_io && [[ $lies_on == tmpfs ]]; then
    aisbx run --profile slow --workspace . --require cgroup -- true || fail "memory needs no limit of disks"
else
    check_status 0 run --profile slow --workspace . --json -- true
    check_has "said to be missing" '"degraded":\[[^]]*\(io: not limited\|cgroup: none\)' "$(<"$dir/out")"
    check_status 125 run --profile slow --workspace . --require cgroup -- true
fi

# A workspace of memory has no disk, and needs none; what nobody asks for is not missing.
check_status 0 run --profile strict --no-workspace --json -- true
! grep -q '"io: ' "$dir/out" || fail "no limit was asked for, and it is said to be missing"
