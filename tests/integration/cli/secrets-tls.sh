#!/usr/bin/env bash
# Secrets within TLS, from the profile to the server: programs trust the proxy for the bound hosts by the file that the
# usual variables name, the server gets the value, and nothing that is shown has it.
source "$(dirname "$0")/common.sh"
command -v openssl >/dev/null || skip "needs openssl"
command -v python3 >/dev/null || skip "needs python3"
command -v curl >/dev/null || skip "needs curl"
[[ -x $bin/aisbx-egress ]] || skip "there is no aisbx-egress"
work

value=value-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')-of-the-host
authority() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key" -out "$1.pem" \
        -subj "/CN=$1" -days 2 -addext keyUsage=critical,keyCertSign 2>/dev/null
}
certificate() { # NAME AUTHORITY HOSTS
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key" -out "$dir/$1.csr" \
        -subj /CN=server -addext "subjectAltName=$3" 2>/dev/null
    openssl x509 -req -in "$dir/$1.csr" -CA "$2.pem" -CAkey "$dir/$2.key" -out "$dir/$1.pem" -days 2 \
        -copy_extensions copy 2>/dev/null
}
authority registry
certificate good registry IP:127.0.0.1
certificate bad registry IP:127.0.0.2
cat >server.py <<'PY'
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        sent = str(self.headers)
        body = (("KNOWS\n" if sys.argv[1] in sent else "DOES NOT KNOW\n") + sent).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
for name in good bad; do
    python3 server.py "$value" "$dir/$name" >"$dir/port-$name" 2>/dev/null &
    pids+=("$!")
    wait_for "the server" test -s "$dir/port-$name"
done
good=$(<"$dir/port-good") bad=$(<"$dir/port-bad")
printf '%s\n' "$value" >token
chmod 600 token
chmod 644 registry.pem
[[ $who == root || $(id -u) -ne 0 ]] || chown "$user_id:$user_id" token
cat >config.yaml <<YAML
profiles:
  deploy:
    extends: base
    network: {enabled: true, allow: ["127.0.0.1:$good", "127.0.0.1:$bad", "api.example.org:443"]}
    secrets:
      API_TOKEN:
        file: token
        ca_file: registry.pem
        hosts:
          - {host: "127.0.0.1:$good", tls: true}
          - {host: "127.0.0.1:$bad", tls: true}
          - {host: "api.example.org:443", tls: true}
  plain: {extends: base, network: {enabled: true, allow: ["127.0.0.1:$good"]}}
YAML
chmod 644 config.yaml
export AISBX_CONFIG_PATH=$PWD/config.yaml
run=(run --profile deploy --no-workspace)
url=https://127.0.0.1:$good/
get=(sh -c "curl -fsS --noproxy '' -H \"X-Token: \$API_TOKEN\" $url")

check_status 0 "${run[@]}" -- "${get[@]}"
check_has "by curl" '^KNOWS$' "$(<"$dir/out")"
check_has "the echo" '^X-Token: aisbx-secret-' "$(<"$dir/out")"
! grep -q "$value" "$dir/out" || fail "the program has the value"
check_status 0 "${run[@]}" -- python3 -c "
import os, urllib.request
os.environ['no_proxy'] = os.environ['NO_PROXY'] = ''
request = urllib.request.Request('$url', headers={'X-Token': os.environ['API_TOKEN']})
print(urllib.request.urlopen(request).read().decode())"
check_has "by python" '^KNOWS$' "$(<"$dir/out")"
! grep -q "$value" "$dir/out" || fail "the program has the value"

# ---- the file: what the host trusts and one more, which nobody can change, and no key anywhere ----
check_status 0 "${run[@]}" -- sh -c '
set -e
for name in SSL_CERT_FILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO CARGO_HTTP_CAINFO PIP_CERT; do
    eval "test \"\$$name\" = /etc/aisbx-certificates.pem"
done
grep -c BEGIN.CERTIFICATE $SSL_CERT_FILE
! { echo x >>$SSL_CERT_FILE; } 2>/dev/null
! grep -rsl "PRIVATE KEY" /etc/aisbx-certificates.pem /tmp /run /dev/shm
openssl x509 -in $SSL_CERT_FILE -noout -text'
wanted=1
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    [[ $wanted -gt 1 || ! -r $file ]] || wanted=$(($(grep -c BEGIN.CERTIFICATE "$file") + 1))
done
check_text "certificates" "$wanted" "$(head -1 "$dir/out")"
check_has "constraints" 'DNS:api.example.org' "$(<"$dir/out")"
check_has "constraints" 'IP:127.0.0.1' "$(<"$dir/out")"
check_status 0 run --profile plain --no-workspace -- sh -c 'test -z "$SSL_CERT_FILE" && test ! -e /etc/aisbx-certificates.pem'
check_status 0 "${run[@]}" --without-secret API_TOKEN -- sh -c 'test ! -e /etc/aisbx-certificates.pem'
check_status 0 run --profile plain --no-workspace -- curl -ksS --noproxy '' "$url"

# ---- a server with a bad certificate gets nothing ----
check_status 22 "${run[@]}" -- sh -c "curl -fsS --noproxy '' -H \"X-Token: \$API_TOKEN\" https://127.0.0.1:$bad/"
check_status 0 "${run[@]}" -- sh -c "curl -sS --noproxy '' -H \"X-Token: \$API_TOKEN\" https://127.0.0.1:$bad/"
check_has "a bad certificate" 'certificate is not good' "$(<"$dir/out")"

# ---- another proxy goes on with the same authority ----
id=$(aisbx create --profile deploy --no-workspace)
check_status 0 exec "$id" -- "${get[@]}"
worker_pid=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
kill -KILL "$(pgrep -P "$(pgrep -P "$worker_pid")" -f '^aisbx-egress')"
check_status 0 exec "$id" -- "${get[@]}"
check_has "by another proxy" '^KNOWS$' "$(<"$dir/out")"
{
    aisbx profile show deploy
    aisbx profile explain deploy
    aisbx network --json "$id"
    aisbx "${run[@]}" --json --verbose -- "${get[@]}"
    cat "$runtime"/*.log "$runtime"/*/*.log 2>/dev/null || true
} >"$dir/shown" 2>&1
check_has "explain" "127.0.0.1:$good (TLS)" "$(<"$dir/shown")"
! grep -q "$value\|PRIVATE KEY" "$dir/shown" || fail "the value is shown"
aisbx destroy "$id" >/dev/null
