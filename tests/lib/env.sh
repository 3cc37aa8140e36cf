# Sourced by script tests. Gives: $bin (programs under test), $dir (scratch, removed at the end), skip, fail,
# as_user (runs a command as an ordinary user with the programs in reach), start_worker.
set -euo pipefail
bin=${AISBX_BIN:?set by ctest; by hand: AISBX_BIN=build/bin}
bin=$(realpath "$bin")
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/aisbx-test.XXXXXX")
chmod 755 "$dir"
pids=()
export AISBX_RUNTIME_DIR=$dir/run # of embedded workers: not the machine's own

cleanup() {
    local status=$? pid
    stop_embedded
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
    exit "$status"
}
trap cleanup EXIT

# Embedded workers outlive their clients; those of this test end with it.
stop_embedded() {
    local socket
    for socket in "$dir"/run/worker*.sock "$dir"/user/worker*.sock; do
        [[ ! -S $socket ]] || "$bin/aisbx" --address "unix:$socket" worker stop >/dev/null 2>&1 || true
    done
}

skip() {
    echo "skipped: $*"
    exit 77
}
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# An id that nobody has: the kernel asks for no passwd entry, and neither may we.
user_id=54321

# The checkout may lie where an ordinary user cannot look.
user_bin() {
    if [[ ! -d $dir/bin ]]; then
        cp -r "$bin" "$dir/bin"
        chmod -R go+rX "$dir/bin"
    fi
    echo "$dir/bin"
}

# as_user COMMAND...: as an ordinary user; when the test runs as root, as $user_id.
as_user() {
    if [[ $(id -u) -ne 0 ]]; then
        "$@"
        return
    fi
    mkdir -p "$dir/user"
    chown "$user_id:$user_id" "$dir/user"
    chmod 700 "$dir/user"
    setpriv --reuid="$user_id" --regid="$user_id" --clear-groups --inh-caps=-all \
        env -u XDG_CONFIG_HOME HOME="$dir/user" AISBX_RUNTIME_DIR="$dir/user" "$@"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_worker ARGS...: returns when it is ready; ended by cleanup. Sets $worker_pid.
start_worker() {
    local ready=$dir/ready.$RANDOM line=
    mkfifo "$ready"
    "$bin/aisbx-worker" --state-dir "$dir/state.$RANDOM" --ready-fd 9 "$@" 9>"$ready" 2>>"$dir/worker.log" &
    worker_pid=$!
    pids+=("$worker_pid")
    read -r line <"$ready" || true
    [[ $line == READY* ]] || fail "worker: ${line:-ended}; $(tail -n 5 "$dir/worker.log")"
}
