#!/usr/bin/env bash
# Secrets: a server that is bound gets the value, the program never has it, nor has anything that is shown.
source "$(dirname "$0")/common.sh"
command -v python3 >/dev/null || skip "needs python3"
command -v curl >/dev/null || skip "needs curl"
[[ -x $bin/aisbx-egress ]] || skip "there is no aisbx-egress"
work

# ---- a server that says whether it got the value, and echoes what it got ----
value=value-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')-of-the-host
cat >server.py <<'PY'
import base64, http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        sent = str(self.headers)
        basic = self.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            sent += base64.b64decode(basic[6:]).decode()
        body = (("KNOWS\n" if sys.argv[1] in sent else "DOES NOT KNOW\n") + sent).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Echo", self.headers.get("X-Token", "none"))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
for i in 1 2; do
    python3 server.py "$value" >"$dir/port$i" &
    pids+=("$!")
    wait_for "the server" test -s "$dir/port$i"
done
port=$(<"$dir/port1") other=$(<"$dir/port2")
printf '%s\n' "$value" >token
chmod 600 token
[[ $who == root || $(id -u) -ne 0 ]] || chown "$user_id:$user_id" token
cat >config.yaml <<YAML
profiles:
  deploy:
    extends: base
    network: {enabled: true, allow: ["127.0.0.1:$port", "127.0.0.1:$other"]}
    secrets:
      API_TOKEN: {file: token, hosts: ["127.0.0.1:$port"]}
  open: {extends: deploy, secrets: {API_TOKEN: {file: world, hosts: ["127.0.0.1:$port"]}}}
YAML
chmod 644 config.yaml
cp token world
chmod 644 world
export AISBX_CONFIG_PATH=$PWD/config.yaml
run=(run --profile deploy --no-workspace)
url=http://127.0.0.1:$port/ elsewhere=http://127.0.0.1:$other/

# ---- the host knows it, the program does not ----
check_status 0 "${run[@]}" -- sh -c "curl -fsS --noproxy '' -i -H \"X-Token: \$API_TOKEN\" $url; echo; env"
check_has "by a field" '^KNOWS$' "$(<"$dir/out")"
check_has "the echo" '^X-Echo: aisbx-secret-' "$(<"$dir/out")"
check_has "the environment" '^API_TOKEN=aisbx-secret-' "$(<"$dir/out")"
! grep -q "$value" "$dir/out" || fail "the program has the value"
check_status 0 "${run[@]}" -- sh -c "curl -fsS --noproxy '' -u me:\$API_TOKEN $url"
check_has "by basic credentials" '^KNOWS$' "$(<"$dir/out")"
! grep -q "$(printf 'me:%s' "$value" | base64 -w0)" "$dir/out" || fail "the program has the value in base64"
check_status 0 "${run[@]}" -- python3 -c "
import os, urllib.request
urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({'http': os.environ['http_proxy']})))
os.environ['no_proxy'] = os.environ['NO_PROXY'] = ''
request = urllib.request.Request('$url', headers={'X-Token': os.environ['API_TOKEN']})
print(urllib.request.urlopen(request).read().decode())"
check_has "by python" '^KNOWS$' "$(<"$dir/out")"
check_status 0 "${run[@]}" -- sh -c "grep -rs '${value:0:12}' /proc/[0-9]*/environ /proc/[0-9]*/cmdline /etc /tmp /run /dev/shm && exit 1 || exit 0"

# ---- another host, a URL: refused, with the line that decided ----
aisbx "${run[@]}" --json -- sh -c "curl -sS --noproxy '' -H \"X-Token: \$API_TOKEN\" $elsewhere" >"$dir/out"
python3 - "$other" "$dir/out" <<'PY'
import json, sys
v, = json.load(open(sys.argv[2]))["verdict"]["violations"]
assert (v["kind"], v["subject"]) == ("host", f"127.0.0.1:{sys.argv[1]}"), v
assert v["decided_by"].startswith("secrets.API_TOKEN.hosts: none is this host (") and "config.yaml:6" in v["decided_by"], v
assert f'hosts: ["127.0.0.1:{sys.argv[1]}"]' in v["allow_with"], v
PY
check_status 22 "${run[@]}" --verbose -- sh -c "curl -fsS --noproxy '' \"$url?\$API_TOKEN\""
check_has "in a URL" 'never into a URL.*secrets.API_TOKEN: no profile can allow it' "$(<"$dir/err")"

# ---- a request takes it away; rules that take the host away do, too ----
check_status 0 "${run[@]}" --without-secret API_TOKEN -- sh -c 'test -z "$API_TOKEN"'
check_status 0 "${run[@]}" --network none -- sh -c 'test -z "$API_TOKEN"'
check_status 0 "${run[@]}" -e API_TOKEN=mine -- sh -c 'test "$API_TOKEN" = mine'
check_status 125 "${run[@]}" --without-secret OTHER -- true
check_has "no such secret" 'has no secret "OTHER"' "$(<"$dir/err")"
id=$(aisbx create --profile deploy --no-workspace)
get=(sh -c "curl -fsS --noproxy '' -H \"X-Token: \$API_TOKEN\" $url")
check_status 0 exec "$id" -- "${get[@]}"
check_has "in a live sandbox" '^KNOWS$' "$(<"$dir/out")"
aisbx network --deny-host "127.0.0.1:$port" "$id" >/dev/null
check_status 22 exec "$id" -- "${get[@]}"
aisbx network --network limited "$id" >/dev/null
worker_pid=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
kill -KILL "$(pgrep -P "$(pgrep -P "$worker_pid")" -f '^aisbx-egress')" # the next one is told of it
check_status 0 exec "$id" -- "${get[@]}"
check_has "by another proxy" '^KNOWS$' "$(<"$dir/out")"

# ---- nothing that is shown has it ----
{
    aisbx profile show deploy
    aisbx profile explain deploy
    aisbx worker info --json
    aisbx network --json "$id"
    aisbx list --json
    aisbx "${run[@]}" --json --verbose -- "${get[@]}"
    cat "$runtime"/*.log "$runtime"/*/*.log 2>/dev/null || true
} >"$dir/shown" 2>&1
check_has "explain" 'for 127.0.0.1:'"$port"' from file .*token' "$(<"$dir/shown")"
! grep -q "$value" "$dir/shown" || fail "the value is shown: $(grep "$value" "$dir/shown")"
aisbx destroy "$id" >/dev/null

# ---- a file that others can read is no source ----
check_status 125 run --profile open --no-workspace -- true
check_has "mode" 'can be used by others (mode 644)' "$(<"$dir/err")"
lint=$("${program[@]/%aisbx/aisbx-security}" profile lint "$PWD/config.yaml" 2>&1) && fail "lint finds nothing"
check_has "lint" "readable secret" "$lint"
