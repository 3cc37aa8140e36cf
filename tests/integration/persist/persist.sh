#!/usr/bin/env bash
# A worker is killed and another started on its state: tombstones and request ids, with the audit and without.
source "$(dirname "$0")/../../lib/env.sh"
python=/usr/bin/python3
"$python" -c 'import grpc' 2>/dev/null || skip "python3-grpcio is not installed"
for tool in protoc grpc_python_plugin; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done
"$repo/proto/clients/build" --python "$dir/clients" >/dev/null
chmod -R go+rX "$dir/clients"
as=()
bins=$bin
if [[ $1 == user && $(id -u) -eq 0 ]]; then
    bins=$(user_bin)
    as=(setpriv "--reuid=$user_id" "--regid=$user_id" --clear-groups --inh-caps=-all env -u XDG_CONFIG_HOME)
elif [[ $1 == root && $(id -u) -ne 0 ]]; then
    skip "not root"
fi
mkdir "$dir/mine"
[[ ${#as[@]} -eq 0 ]] || chown "$user_id:$user_id" "$dir/mine"
export HOME=$dir/mine AISBX_RUNTIME_DIR=$dir/mine PYTHONPATH=$dir/clients/python/src PYTHONDONTWRITEBYTECODE=1
"${as[@]}" "$bins/aisbx" --version >/dev/null 2>&1 || skip "an ordinary user cannot run programs in $dir"
cd "$dir"

# start NAME ARGS...: a worker with state of that name; sets $worker_pid
start() {
    local name=$1 ready=$dir/ready.$RANDOM line=
    shift
    mkfifo "$ready"
    chmod 666 "$ready"
    "${as[@]}" "$bins/aisbx-worker" --state-dir "$dir/mine/$name" --listen "unix:$dir/mine/$name.sock" --ready-fd 9 "$@" \
        9>"$ready" 2>>"$dir/worker.log" &
    worker_pid=$!
    pids+=("$worker_pid")
    read -r line <"$ready" || true
    [[ $line == READY* ]] || fail "worker: ${line:-ended}; $(tail -n 5 "$dir/worker.log")"
}
end() {
    kill "-$1" "$worker_pid" 2>/dev/null || true
    wait "$worker_pid" 2>>"$dir/worker.log" || [[ $1 == 9 ]] || fail "worker: $?; $(tail -n 5 "$dir/worker.log")"
    rm -f "$dir"/mine/*.sock
}
check() {
    "${as[@]}" "$python" "$repo/tests/integration/persist/persist.py" "$1" "$worker_pid" "$dir/mine/$2.json" \
        "unix:$dir/mine/$2.sock" "${@:3}" || fail "$1 $2: see above; $(tail -n 5 "$dir/worker.log")"
}

start kept
for tenant in a b; do
    "${as[@]}" "$bins/aisbx-security" --address "unix:$dir/mine/kept.sock" keys create --tenant "$tenant" >"$tenant.key"
done
check before kept "$(<a.key)" "$(<b.key)"
end 9 # it is dead already
start kept
check after kept "$(<a.key)" "$(<b.key)"
end 15
start kept
check after kept "$(<a.key)" "$(<b.key)" # what is known does not change by another end
end 9

start unaudited --embedded --audit off
check before unaudited
end 9
start unaudited --embedded --audit off
check after unaudited
end 15
