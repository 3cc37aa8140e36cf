#!/usr/bin/env bash
# Who may call what, over plaintext, TLS, mTLS and unix sockets.
source "$(dirname "$0")/../../lib/env.sh"
python=/usr/bin/python3
"$python" -c 'import grpc' 2>/dev/null || skip "python3-grpcio is not installed"
for tool in openssl protoc grpc_python_plugin; do
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

# start NAME ARGS...: a worker with state of that name; sets $worker_pid
start() {
    local name=$1 ready=$dir/ready.$RANDOM line=
    shift
    mkfifo "$ready"
    chmod 666 "$ready"
    "${as[@]}" "$bins/aisbx-worker" --state-dir "$dir/mine/$name" --ready-fd 9 "$@" 9>"$ready" 2>>"$dir/worker.log" &
    worker_pid=$!
    pids+=("$worker_pid")
    read -r line <"$ready" || true
    [[ $line == READY* ]] || fail "worker: ${line:-ended}; $(tail -n 5 "$dir/worker.log")"
}
keys() { "${as[@]}" "$bins/aisbx-security" --address "unix:$dir/mine/w.sock" keys "$@"; }
# wants TEXT ARGS...: a worker that must not start, and say TEXT
wants() {
    local text=$1
    shift
    ! "${as[@]}" "$bins/aisbx-worker" --state-dir "$dir/mine/none" "$@" >"$dir/out" 2>&1 || fail "started: $*"
    grep -q -e "$text" "$dir/out" || fail "$*: no '$text' in: $(<"$dir/out")"
}

cd "$dir"
issue() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$1.pem" \
        -extfile <(echo "subjectAltName=$2")
}
certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
    issue server "DNS:localhost,IP:127.0.0.1"
    issue agent "URI:spiffe://x/agent-1"
    issue stranger "URI:spiffe://x/stranger"
    chmod 644 ./*.key
}
certificates >"$dir/openssl.log" 2>&1 || fail "openssl: $(<"$dir/openssl.log")"
cat >config.yaml <<'YAML'
auth:
  identities:
    - {match: "spiffe://x/agent-*", role: user, tenant: a}
tenants:
  - {name: slow, requests_per_second: 1, burst: 3}
  - {name: one, max_sandboxes: 1}
  - {name: small, max_memory: 512M, max_cpu: 1000}
YAML
chmod 644 config.yaml
plain=127.0.0.1:$(free_port)
tls=127.0.0.1:$(free_port)
mtls=127.0.0.1:$(free_port)
pair=(--tls-cert "$dir/server.pem" --tls-key "$dir/server.key")

wants "give --tls-cert and --tls-key" --listen "ipv4:0.0.0.0:$(free_port)"
printf 'tenants:\n  - {name: a, max_sandbox: 1}\n' >bad.yaml
chmod 644 bad.yaml
wants '2:15: unknown key "max_sandbox"; did you mean "max_sandboxes"?' --check "$dir/bad.yaml"

start one --listen "unix:$dir/mine/w.sock" --listen "ipv4:$plain" --config "$dir/config.yaml"
first=$worker_pid
for tenant in a b slow one small; do
    keys create --tenant "$tenant" --title "of $tenant" >"$tenant.key"
done
keys create --tenant a --role auditor >look.key
keys create --tenant '*' --role auditor --expires 30d >look-all.key
keys create --role admin >admin.key
keys create --tenant a --expires 1ms >old.key
keys create --tenant a >gone.key
[[ $(<a.key) =~ ^aisbx_[a-z2-7]{26}_[A-Za-z0-9_-]{43}$ ]] || fail "not the form of a key: $(<a.key)"
"${as[@]}" "$python" "$repo/tests/integration/auth/auth.py" plain "$dir" "$plain" "unix:$dir/mine/w.sock" <"$dir/gone.key" ||
    fail "see above; $(tail -n 5 "$dir/worker.log")"

# Kept across a restart, revoked ones too, and when they were used.
kill "$first"
wait "$first" || fail "worker: $?"
start one --listen "unix:$dir/mine/w.sock" --config "$dir/config.yaml"
call() { AISBX_API_KEY=$(<"$1.key") "${as[@]}" "$bins/aisbx" --address "unix:$dir/mine/w.sock" list --quiet; }
call a >/dev/null || fail "a.key after a restart"
! call gone 2>"$dir/err" || fail "a revoked key is good again"
grep -q "was revoked" "$dir/err" || fail "gone: $(<"$dir/err")"
[[ $(keys list --json | grep -c '"key_id"') -gt 0 ]] || fail "keys list"
keys list | grep -q "of small" || fail "titles: $(keys list)"
keys revoke "$(<b.key)" # by the whole text
! call b 2>/dev/null || fail "b.key was revoked"

# TLS without client certificates, and with.
start two --listen "unix:$dir/mine/v.sock" --listen "ipv4:$tls" "${pair[@]}" --config "$dir/config.yaml"
"${as[@]}" "$bins/aisbx-security" --address "unix:$dir/mine/v.sock" keys create --tenant a >tls.key
start three --listen "ipv4:$mtls" "${pair[@]}" --tls-ca "$dir/ca.pem" --config "$dir/config.yaml"
"${as[@]}" "$python" "$repo/tests/integration/auth/auth.py" tls "$dir" "$tls" "$mtls" ||
    fail "see above; $(tail -n 5 "$dir/worker.log")"

# No key is anywhere but where it was given.
for file in ./*.key; do
    secret=$(sed -n 's/^aisbx_[a-z2-7]\{26\}_//p' "$file")
    [[ -z $secret ]] || ! grep -rqF -e "$secret" "$dir/worker.log" "$dir/mine" || fail "$file was kept or logged"
done
