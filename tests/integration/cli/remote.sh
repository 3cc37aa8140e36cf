#!/usr/bin/env bash
# The same verbs over gRPC: bytes travel as messages, host directories do not.
source "$(dirname "$0")/../../lib/env.sh"
[[ -x $bin/aisbx-remote && -e $bin/aisbx-rpc-grpc.so ]] || skip "there is no aisbx-remote or no gRPC module"
export AISBX_ADDRESS
AISBX_ADDRESS=ipv4:127.0.0.1:$(free_port)
echo "auth: {loopback: user}" >"$dir/config.yaml"
start_worker --listen "$AISBX_ADDRESS" --config "$dir/config.yaml"
cd "$dir"

aisbx() { "$bin/aisbx" "$@"; }
check() { [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"; }
status_of() {
    local status=0
    aisbx "$@" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    echo "$status"
}

check "status" 3 "$(status_of run --no-workspace -- sh -c 'echo out; echo err >&2; exit 3')"
check "stdout" out "$(<"$dir/out")"
check "stderr" err "$(<"$dir/err")"
check "not found" 127 "$(status_of run --no-workspace -- no-such-command)"
check "timed out" 124 "$(status_of run --no-workspace --timeout 200ms -- sleep 60)"

head -c 20000000 /dev/urandom >"$dir/data"
sum=$(sha256sum <"$dir/data")
check "20 MB in" "$sum" "$(aisbx run --no-workspace sha256sum <"$dir/data")"
check "1 MB both ways" "$(head -c 1000000 "$dir/data" | sha256sum)" \
    "$(head -c 1000000 "$dir/data" | aisbx run --no-workspace cat | sha256sum)"

# What aisbx-remote gets is what aisbx got, comma lists included.
check "arguments" 'a,b c' "$(aisbx run --require userns,seccomp --no-workspace -- sh -c 'echo "$1"' - 'a,b c')"

id=$(aisbx create --no-workspace --profile strict)
check "list" "$id" "$(aisbx list --quiet)"
check "exec" hello "$(aisbx exec "$id" echo hello)"
ex=$(aisbx exec --detach "$id" sh -c 'echo detached; sleep 0.2; echo over')
check "logs" $'detached\nover' "$(aisbx logs --follow "$ex")"
check "destroy" "$id" "$(aisbx destroy "$id")"

# The directory is on this machine, the worker might not be.
check "no workspace unasked" 0 "$(status_of run -- sh -c 'test -z "$(ls /workspace)"')"
grep -q "the worker is on another machine" "$dir/err" || fail "no note about the workspace: $(<"$dir/err")"
check "workspace asked for" 125 "$(status_of run --workspace "$dir" -- true)"
grep -q "directories" "$dir/err" || fail "workspace: $(<"$dir/err")"

# ---- with certificates on both sides ----
issue() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$1.pem" \
        -extfile <(echo "subjectAltName=IP:127.0.0.1")
}
certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca \
        -keyout ca.key -out ca.pem
    issue worker
    issue client
    chmod 644 client.key # that of the worker is read before it drops its privilege
}
certificates >"$dir/openssl.log" 2>&1 || fail "openssl: $(<"$dir/openssl.log")"
secure=ipv4:127.0.0.1:$(free_port)
start_worker --listen "$secure" --tls-cert "$dir/worker.pem" --tls-key "$dir/worker.key" --tls-ca "$dir/ca.pem"
check "without TLS" 1 "$(status_of --address "$secure" list)"
export AISBX_TLS_CA=$dir/ca.pem
check "without a certificate" 1 "$(status_of --address "$secure" list)"
export AISBX_TLS_CERT=$dir/client.pem AISBX_TLS_KEY=$dir/client.key
check "with one" 3 "$(status_of --address "$secure" run --no-workspace -- sh -c 'echo secret; exit 3')"
check "stdout with one" secret "$(<"$dir/out")"
check "a worker nobody vouches for" 1 "$(AISBX_TLS_CA=$dir/client.pem status_of --address "$secure" list)"
check "a file that is not there" 1 "$(AISBX_TLS_CERT=$dir/none.pem status_of --address "$secure" list)"
grep -q none.pem "$dir/err" || fail "none.pem: $(<"$dir/err")"
check "a key of another certificate" 1 "$(AISBX_TLS_KEY=$dir/worker.key status_of --address "$secure" list)"
grep -q "client.pem and .*worker.key are no pair" "$dir/err" || fail "no pair: $(<"$dir/err")"
openssl pkey -in client.key -aes128 -passout pass:x -out locked.key
check "a key with a passphrase" 1 "$(AISBX_TLS_KEY=$dir/locked.key status_of --address "$secure" list)"
grep -q "locked.key holds no key that can be read" "$dir/err" || fail "passphrase: $(<"$dir/err")"
unset AISBX_TLS_CA AISBX_TLS_CERT AISBX_TLS_KEY
status=0
"$bin/aisbx-worker" --listen "ipv4:127.0.0.1:$(free_port)" --tls-cert worker.pem --tls-key client.key \
    --state-dir "$dir/none" >"$dir/err" 2>&1 || status=$?
check "a worker with a key of another certificate" 1 "$status"
grep -q "worker.pem and client.key are no pair" "$dir/err" || fail "no pair: $(<"$dir/err")"

set -m
"$bin/aisbx" run --no-workspace -- sh -c 'setsid sleep '"$$"'1.5 & echo ready; sleep 60' >"$dir/ready" &
pid=$!
set +m
pids+=("$pid")
for ((i = 0; i < 200; i++)); do
    grep -q ready "$dir/ready" && break
    sleep 0.05
done
kill -INT "$pid"
status=0
wait "$pid" || status=$?
check "status after SIGINT" 130 "$status"
! left=$(pgrep -fa "sleep $$"1.5) || fail "the daemon outlived aisbx: $left; $(tail -n 5 "$dir"/*.log)"
