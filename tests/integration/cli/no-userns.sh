#!/usr/bin/env bash
# On a machine without user namespaces: what needs them says so, and the driver chroot is there for root.
if [[ ${1:-} == root ]]; then
    [[ $(id -u) -eq 0 ]] || { echo "skipped: needs root"; exit 77; }
    exec "$(dirname "$0")/../../lib/without_userns" "$0" inside
fi
set -- root
source "$(dirname "$0")/common.sh"
work

check_status 125 run --no-workspace -- true
check_has "native says why" 'raise sysctl user.max_user_namespaces' "$(<"$dir/err")"
check_has "and what is left" 'take the driver chroot, which is weaker' "$(<"$dir/err")"
check_status 125 run --no-workspace --driver bwrap -- true

info=$(aisbx worker info)
check_has "native" '^native  *no ' "$info"
check_has "bwrap" '^bwrap  *no ' "$info"
check_has "chroot" '^chroot  *yes  *userns absent, pidns enforced' "$info"

check_text "a job" sandbox "$(aisbx run --no-workspace --driver chroot -- id -un)"
check_text "its processes" aisbx-init "$(aisbx run --no-workspace --driver chroot -- cat /proc/1/comm)"
check_text "its capabilities" 0 "$(aisbx run --no-workspace --driver chroot -- \
    awk '/^Cap/ && $2 != "0000000000000000" {n++} END {print n + 0}' /proc/self/status)"
check_status 0 run --no-workspace --driver chroot --require pidns,mountns,netns,seccomp,nocaps,rootfs,disk -- true
check_status 125 run --no-workspace --driver chroot --require userns -- true

# No idmapped mounts without user namespaces: the job is the owner of the directory, and never root.
check_status 125 run --workspace "$PWD" -p python-dev --driver chroot -- true
check_has "never root" 'its owner is root' "$(<"$dir/err")"
mkdir theirs
chown 54321:54321 theirs
cd theirs
check_text "the owner's id" 54321 "$(aisbx run -p python-dev --driver chroot -- sh -c 'touch x; id -u')"
check_text "a file made inside" 54321 "$(stat -c %u x)"
