# shellcheck shell=bash
# Sourced by the tests of the command line, each of which takes the identity to test as: root or user.
# Gives, on top of tests/lib/env.sh: aisbx (as that identity, with a worker that ends with the test), start (the same in
# the background: sets $pid), work (a fresh directory of that identity, made the current one), check_status, check_text.
source "$(dirname "${BASH_SOURCE[0]}")/../../lib/env.sh"

who=${1:?root or user}
[[ $who == user || $(id -u) -eq 0 ]] || skip "needs root"
[[ -x $bin/aisbx-worker && -x $bin/aisbx-spawner ]] || skip "there is no worker beside aisbx"

unset AISBX_ADDRESS AISBX_CONFIG_PATH AISBX_DEFAULT_PROFILE AISBX_API_KEY AISBX_DEBUG
program=("$bin/aisbx")
runtime=$AISBX_RUNTIME_DIR
if [[ $who == user && $(id -u) -eq 0 ]]; then
    as_user true # makes its directory
    runtime=$dir/user
    program=(setpriv --reuid="$user_id" --regid="$user_id" --clear-groups --inh-caps=-all
        env -u XDG_CONFIG_HOME HOME="$dir/user" AISBX_RUNTIME_DIR="$runtime" "$(user_bin)/aisbx")
fi

aisbx() { "${program[@]}" "$@"; }

# start ARGS...: in the background, without job control's habit of ignoring SIGINT there. Sets $pid to aisbx itself.
start() {
    set -m
    "${program[@]}" "$@" &
    pid=$!
    set +m
    pids+=("$pid")
}

work() {
    local made
    made=$(mktemp -d "$dir/work.XXXXXX")
    [[ $who == root || $(id -u) -ne 0 ]] || chown "$user_id:$user_id" "$made"
    cd "$made"
}

# check_status WANTED AISBX-ARGS...
check_status() {
    local wanted=$1 got=0
    shift
    aisbx "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    [[ $got == "$wanted" ]] || fail "aisbx $*: status $got, wanted $wanted; $(head -c 500 "$dir/err")"
}

# check_text WHAT WANTED GOT
check_text() { [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"; }

# check_has WHAT PATTERN TEXT
check_has() { grep -q -- "$2" <<<"$3" || fail "$1: '$2' is not in '$3'"; }

# wait_for WHAT COMMAND...: until the command succeeds; fails after 20 seconds.
wait_for() {
    local what=$1 i
    shift
    for ((i = 0; i < 400; i++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "waited in vain: $what"
}
