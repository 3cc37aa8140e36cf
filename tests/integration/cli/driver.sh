#!/usr/bin/env bash
# aisbx run --driver: each works where it can, says what it lacks, and is refused where that is not enough.
source "$(dirname "$0")/common.sh"
work
driver_of() { python3 -c 'import json, sys; print(json.load(sys.stdin)["sandbox"]["driver"])'; }

# ---- which there are ----
info=$(aisbx worker info)
check_has "native" '^native  *yes  *as below' "$info"
check_status 125 run --driver docker -- true
check_has "no such driver" "none of native, bwrap, chroot, lima" "$(<"$dir/err")"
check_text "the driver is named" native "$(aisbx run --json -- true | driver_of)"

# ---- bwrap: the same sandbox by another program ----
if command -v bwrap >/dev/null; then
    check_has "bwrap" "^bwrap  *yes  *landlock absent  *bubblewrap .*, version $(bwrap --version | cut -d' ' -f2)" "$info"
    echo 'print("from a file")' >x.py
    check_text "a job" "$(printf 'hello\nsandbox\n/workspace\nfrom a file')" \
        "$(aisbx run -p python-dev --driver bwrap -- sh -c 'echo hello; id -un; pwd; python3 x.py')"
    aisbx run -p python-dev --driver bwrap -- sh -c 'echo new >made'
    check_text "a file made inside" new "$(<made)"
    check_text "whose it is" "$(stat -c %u:%g .)" "$(stat -c %u:%g made)"
    check_status 3 run --driver bwrap -- sh -c 'exit 3'
    check_status 137 run --driver bwrap -- sh -c 'kill -9 $$'
    check_status 124 run --driver bwrap --timeout 200ms -- sh -c 'sleep 60 & sleep 60'
    check_status 127 run --driver bwrap -- no-such-command
    check_status 0 run --driver bwrap --require userns,pidns,mountns,netns,ipcns,utsns,seccomp,nocaps,rootfs,disk -- true
    check_status 125 run --driver bwrap --require landlock -- true
    check_has "it lacks" 'not enforced by driver bwrap' "$(<"$dir/err")"
    aisbx run -v --driver bwrap -- true 2>"$dir/err"
    check_has "a result says so" 'driver bwrap: no Landlock' "$(<"$dir/err")"
    check_has "nobody counts" 'violations: ' "$(<"$dir/err")"
    id=$(aisbx create --driver bwrap)
    long=4$$1
    aisbx exec --detach "$id" -- sh -c "setsid sleep $long & sleep $long" >/dev/null
    aisbx destroy "$id"
    ! pgrep -f "^sleep $long\$" >/dev/null || fail "something outlives a sandbox of bwrap"
else
    check_status 125 run --driver bwrap -- true
    check_has "bwrap is missing" 'apt install bubblewrap' "$(<"$dir/err")"
fi

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
    status=0
    AISBX_RUNTIME_DIR=$dir/run/weak setpriv --bounding-set=-kill --inh-caps=-kill \
        "$bin/aisbx" run --driver chroot -- true 2>"$dir/err" || status=$?
    AISBX_RUNTIME_DIR=$dir/run/weak aisbx worker stop
    check_text "without the right to end it" 125 "$status"
    check_has "what is missing" 'CAP_KILL' "$(<"$dir/err")"
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
