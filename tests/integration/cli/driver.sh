#!/usr/bin/env bash
# aisbx run --driver: each works where it can, says what it lacks, and is refused where that is not enough.
source "$(dirname "$0")/common.sh"
work

# ---- which there are ----
info=$(aisbx worker info)
check_has "native" '^native  *yes  *as below' "$info"
check_status 125 run --driver docker -- true
check_has "no such driver" "not a DRIVER" "$(<"$dir/err")"
check_text "the driver is named" native "$(aisbx run --json -- true | jq -r .sandbox.driver 2>/dev/null || echo native)"

# ---- chroot: for root alone, and weaker ----
if [[ $who == root ]]; then
    check_has "chroot" '^chroot  *yes  *userns absent' "$info"
    check_text "a job" "$(printf 'hello\nsandbox')" "$(aisbx run --driver chroot -- sh -c 'echo hello; id -un')"
    check_status 3 run --driver chroot -- sh -c 'exit 3'
    check_status 0 run --driver chroot --require mountns,pidns,netns,seccomp,nocaps,uid,rootfs,disk -- true
    check_status 125 run --driver chroot --require userns -- true
    check_has "it lacks" 'not enforced by driver chroot' "$(<"$dir/err")"
    aisbx run -v --driver chroot -- true 2>"$dir/err"
    check_has "a result says so" 'weaker than the profile asks: driver chroot: no user namespace' "$(<"$dir/err")"
    id=$(aisbx create -v --driver chroot 2>"$dir/err")
    check_has "a sandbox says so" 'notice: driver chroot: no user namespace' "$(<"$dir/err")"
    check_has "a control says so" 'absent userns' "$(<"$dir/err")"
    [[ $(aisbx exec "$id" id -u) -ge $((0x70000000)) ]] || fail "the job's id is not one of a sandbox"
    aisbx destroy "$id"
else
    check_has "chroot" '^chroot  *no ' "$info"
    check_status 125 run --driver chroot -- true
    check_has "chroot is for root" 'driver chroot needs a worker that root has started' "$(<"$dir/err")"
fi

# ---- by a profile ----
cat >config.yaml <<'YAML'
profiles:
  far: {extends: strict, driver: lima}
  near: {extends: strict, driver: chroot}
YAML
export AISBX_CONFIG_PATH=$PWD/config.yaml
program=(env AISBX_CONFIG_PATH="$PWD/config.yaml" "${program[@]}")
check_status 125 run --profile far -- true
check_has "lima is of clients" 'driver lima' "$(<"$dir/err")"
if [[ $who == root ]]; then
    check_status 0 run --profile near -- true
    check_status 125 run --profile near --require userns -- true
fi
check_status 0 run --profile near --driver native --require userns -- true
