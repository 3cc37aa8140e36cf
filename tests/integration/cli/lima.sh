#!/usr/bin/env bash
# aisbx run --driver lima: starts a machine by limactl when it does not run, and speaks gRPC to the worker in it. A
# script stands for limactl: its machine is a worker on this one, whose socket is where lima would forward it to.
source "$(dirname "$0")/../../lib/env.sh"
[[ -x $bin/aisbx-remote && -e $bin/aisbx-rpc-grpc.so ]] || skip "there is no aisbx-remote or no gRPC module"
unset AISBX_ADDRESS AISBX_CONFIG_PATH AISBX_DEFAULT_PROFILE AISBX_DEBUG
cd "$dir"
template=$repo/deploy/lima/aisbx.yaml

check() { [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"; }
has() { grep -q -- "$2" <<<"$3" || fail "$1: '$2' is not in '$3'"; }
status_of() {
    local status=0
    "$bin/aisbx" "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    echo "$status"
}

# ---- without lima ----
if ! command -v limactl >/dev/null; then
    check "no limactl" 125 "$(status_of run --driver lima -- true)"
    has "what is missing" 'limactl is not in PATH' "$(<err)"
    has "the next step" 'hint: install Lima' "$(<err)"
fi

# ---- with a script in its place ----
mkdir machine fake
export FAKE_DIR=$dir/machine FAKE_LOG=$dir/limactl.log FAKE_WORKER=$bin/aisbx-worker
cat >fake/limactl <<'SH'
#!/usr/bin/env bash
# list prints the machine, if there is one; start makes it, unless it shall fail.
echo "$*" >>"$FAKE_LOG"
case $1 in
list) [[ ! -e $FAKE_DIR/status ]] || echo "$(<"$FAKE_DIR/status") $FAKE_DIR" ;;
start)
    cat >/dev/null # which must not be the program's input
    echo "INFO[0000] starting"
    [[ ! -e $FAKE_DIR/broken ]] || exit 1
    mkdir -p "$FAKE_DIR/sock"
    echo Running >"$FAKE_DIR/status"
    setsid "$FAKE_WORKER" --listen "unix:$FAKE_DIR/sock/aisbx.sock" >>"$FAKE_DIR/log" 2>&1 </dev/null &
    echo $! >"$FAKE_DIR/pid"
    ;;
esac
SH
chmod 755 fake/limactl
export PATH=$dir/fake:$PATH
starts() { grep -c '^start' "$FAKE_LOG" || true; }

: >machine/broken
check "a machine that does not start" 125 "$(status_of run --driver lima -- true)"
has "what failed" 'driver lima: limactl start failed' "$(<err)"
has "the next step" 'hint: limactl start aisbx' "$(<err)"
rm machine/broken "$FAKE_LOG"

check "the first time" 3 "$(status_of run --driver lima -- sh -c 'echo out; exit 3')"
pids+=("$(<machine/pid)")
check "its output" out "$(<out)"
has "progress is on stderr" 'INFO.*starting' "$(<err)"
has "it is made by the template" "^start --tty=false --name=aisbx $template --set=.mounts\\[0\\].location = \"$repo\"" \
    "$(<"$FAKE_LOG")"
has "it is another machine" 'the worker is on another machine' "$(<err)"
check "starts" 1 "$(starts)"

check "again" hello "$("$bin/aisbx" run --driver lima -- echo hello)"
check "starts, when it runs" 1 "$(starts)"
id=$("$bin/aisbx" create -v --driver lima --profile strict 2>err)
address=$(sed -n 's/^.*worker in lima: --address //p' err | tail -n 1)
check "its address" "grpc+unix:$dir/machine/sock/aisbx.sock" "$address"
check "a sandbox there" native "$("$bin/aisbx" --address "$address" run --json -- true |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["sandbox"]["driver"])')"
check "exec in it" hello "$("$bin/aisbx" --address "$address" exec "$id" echo hello)"
check "a worker that is named" 125 "$(AISBX_ADDRESS=$address status_of run --driver lima -- echo hello)"
has "two workers" 'exclude each other' "$(<err)"
check "learning" 1 "$("$bin/aisbx-security" profile learn --driver lima true >out 2>err; echo $?)"
has "where it learns" 'workers of this machine' "$(<err)"
"$bin/aisbx" --address "$address" destroy "$id" >/dev/null

# ---- a machine that stands still ----
kill "$(<machine/pid)"
while kill -0 "$(<machine/pid)" 2>/dev/null; do sleep 0.02; done
echo Stopped >machine/status
check "started again, with the program's input" hello "$(echo hello | "$bin/aisbx" run --driver lima -- cat)"
pids+=("$(<machine/pid)")
has "by its name" '^start --tty=false aisbx$' "$(<"$FAKE_LOG")"

# ---- the template ----
if /usr/bin/python3 -c 'import yaml' 2>/dev/null; then
    "$repo/tests/vm/lima/limactl" validate "$template" || fail "the template is none"
    sed 's/^- guestSocket:/- guestSock:/' "$template" >broken.yaml
    ! "$repo/tests/vm/lima/limactl" validate broken.yaml 2>/dev/null || fail "anything is a template"
fi
has "where the worker listens" 'listen unix:/run/aisbx/worker.sock' "$(<"$template")"
has "what is forwarded" 'guestSocket: "/run/aisbx/worker.sock"' "$(<"$template")"
has "where to" 'hostSocket: "{{.Dir}}/sock/aisbx.sock"' "$(<"$template")"
