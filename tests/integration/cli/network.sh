#!/usr/bin/env bash
# A limited network: what the rules allow is reached through the proxy, all else is refused and told; rules change on a
# live sandbox; nothing goes around the proxy; its death is survived; without it there is no network, and that is said.
source "$(dirname "$0")/common.sh"
command -v python3 >/dev/null || skip "needs python3"
command -v curl >/dev/null || skip "needs curl"
[[ -x $bin/aisbx-egress ]] || skip "there is no aisbx-egress"
work

# ---- a stand-in of the internet, on loopback, which the rules name ----
cat >server.py <<'PY'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"inside")
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
python3 server.py >"$dir/port" &
pids+=("$!")
wait_for "the server" test -s "$dir/port"
port=$(<"$dir/port")
cat >config.yaml <<YAML
profiles:
  net: {extends: base, network: {enabled: true, allow: ["127.0.0.1:$port", "*.example.org:443"]}}
YAML
chmod 644 config.yaml
export AISBX_CONFIG_PATH=$PWD/config.yaml
run=(run --profile net --no-workspace)
# --noproxy '': else curl would look for 127.0.0.1 inside.
get=(curl -fsS --noproxy '' "http://127.0.0.1:$port/")

# ---- allowed, and refused with the reason ----
check_status 0 "${run[@]}" --require egress -- "${get[@]}"
check_text "what is allowed" inside "$(<"$dir/out")"
check_status 22 "${run[@]}" -- curl -fsS --noproxy '' http://127.0.0.1:1/
check_has "the hint" "denied to the program: 127.0.0.1:1;" "$(<"$dir/err")"
check_has "the hint" 'hint: to allow 127.0.0.1:1 (profile net): network: {allow: \["127.0.0.1:1"\]}' "$(<"$dir/err")"
aisbx "${run[@]}" --json -- sh -c 'for i in 1 2 3; do curl -sS https://blocked.test/ || true; done' | python3 -c '
import json, sys
v, = json.load(sys.stdin)["verdict"]["violations"]
got = [v[key] for key in ("kind", "subject", "count", "profile", "decided_by", "allow_with")]
assert got == ["host", "blocked.test:443", 3, "net", "network.allow: no rule matches (" + sys.argv[1] + "/config.yaml:2)",
               "network: {allow: [\"blocked.test:443\"]} beside the rules that are there"], got
' "$PWD"
check_status 0 "${run[@]}" --deny-host 127.0.0.1 --verbose -- sh -c "! ${get[*]@Q}"
check_has "a rule that denies" 'network.deny of the request: 127.0.0.1; to allow: network.deny of the request without "127.0.0.1"' "$(<"$dir/err")"
check_status 0 "${run[@]}" --allow-host a.example.org:443 --verbose -- sh -c "! ${get[*]@Q}"
check_has "what the request narrowed" 'network.allow of the request: no rule matches; to allow: network: {allow: .*} in the request' "$(<"$dir/err")"
check_status 125 "${run[@]}" --allow-host elsewhere.test -- true
check_has "more than the profile" 'profile "net" does not allow "elsewhere.test", which without a port means all' "$(<"$dir/err")"
check_status 125 "${run[@]}" --allow-host "" -- true
check_has "no rule is not every rule" 'option --allow-host: an entry of "" is empty' "$(<"$dir/err")"
check_status 125 "${run[@]}" --deny-host 127.1 -- true
check_has "a rule that would never match" '"127.1": neither a name nor an address' "$(<"$dir/err")"

# ---- a rule for the whole internet opens nothing of here, and a request cannot make it do so ----
sed 's/  net:/  wide: {extends: base, network: {enabled: true, allow: ["0.0.0.0\/0"]}}\n&/' -i config.yaml
touch -d +2sec config.yaml
check_status 22 run --profile wide --no-workspace -- "${get[@]}"
check_status 125 run --profile wide --no-workspace --allow-host "127.0.0.1:$port" -- "${get[@]}"
check_has "more than it opens" 'profile "wide" does not allow' "$(<"$dir/err")"

# ---- bytes and connections have a bound, and who meets it is told which ----
cat >>config.yaml <<YAML
  small: {extends: net, network: {max_bytes: 1k}}
  few: {extends: net, network: {max_connections: 1}}
YAML
touch -d +4sec config.yaml
check_status 0 run --profile small --no-workspace -- "${get[@]}"
aisbx run --profile small --no-workspace --json -- sh -c "for i in 1 2 3 4 5 6 7 8 9; do ${get[*]@Q} || true; done" | python3 -c '
import json, sys
v, = json.load(sys.stdin)["verdict"]["violations"]
got = [v[key] for key in ("kind", "subject", "profile", "allow_with")]
assert got == ["limit", "network.max_bytes", "small", "network: {max_bytes: 2KiB}"], got
assert v["decided_by"].startswith("network.max_bytes: 1KiB (") and "config.yaml:4" in v["decided_by"], v["decided_by"]
'
check_status 0 run --profile few --no-workspace --verbose -- python3 -c "
import socket
first, second = (socket.create_connection(('127.0.0.1', 3128)) for i in range(2))
second.sendall(b'GET http://127.0.0.1:$port/ HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n\r\n')
second.settimeout(0.3)
try: raise SystemExit('it did not wait: %r' % second.recv(9))
except TimeoutError: pass
first.close()
second.settimeout(20)
assert b' 200 ' in second.recv(99)"
check_has "connections" 'met limit network.max_connections, 1x (too many connections.*network.max_connections: 1 (.*config.yaml:5' "$(<"$dir/err")"

# ---- nothing goes around it ----
check_status 0 "${run[@]}" -- python3 -c '
import errno, socket
for address in ("192.0.2.1", "169.254.169.254", "10.0.0.1"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try: socket.socket(socket.AF_INET, kind).connect((address, 53))
        except OSError as e: assert e.errno == errno.ENETUNREACH, e
        else: raise SystemExit(address)
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
except PermissionError: pass
else: raise SystemExit("raw")
try: socket.getaddrinfo("example.org", 443)
except socket.gaierror: pass
else: raise SystemExit("a name was resolved inside")
'
check_status 0 "${run[@]}" --network none -- sh -c '! env | grep -q 3128 && ! curl -s http://127.0.0.1:3128/'

# ---- the usual tools are told, and the caller wins ----
check_status 0 "${run[@]}" -e HTTPS_PROXY=http://mine -- sh -c 'echo $HTTP_PROXY $https_proxy $HTTPS_PROXY $NO_PROXY'
check_text "environment" "http://127.0.0.1:3128 http://127.0.0.1:3128 http://mine localhost,127.0.0.1,::1" "$(<"$dir/out")"

# ---- a live sandbox ----
id=$(aisbx create --profile net --no-workspace)
check_status 0 exec "$id" -- "${get[@]}"
check_has "network" "^allow 127.0.0.1:$port$" "$(aisbx network "$id")"
check_has "closed" "^network none$" "$(aisbx network --network none "$id")"
check_status 22 exec "$id" -- "${get[@]}"
check_has "denied" "^denied 127.0.0.1:$port 1x: network.mode of the request: none" "$(aisbx network "$id")"
check_status 0 network --network limited "$id"
check_status 0 exec "$id" -- "${get[@]}"
check_status 1 network --allow-host elsewhere.test "$id"
check_has "within its profile" 'network.allow\[0\]: profile "net" does not allow "elsewhere.test"' "$(<"$dir/err")"
aisbx network --json --allow-host "127.0.0.1:$port" "$id" | python3 -c '
import json, sys
network = json.load(sys.stdin)["network"]
assert (network["mode"], len(network["allow"])) == ("limited", 1), network
'
check_status 0 exec "$id" -- "${get[@]}"

# a connection that new rules forbid is ended before the change is answered
mkfifo "$dir/said"
exec 7<>"$dir/said"
start exec "$id" -- python3 -c "
import socket, sys
s = socket.create_connection(('127.0.0.1', 3128))
s.sendall(b'CONNECT 127.0.0.1:$port HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n\r\n')
assert b' 200 ' in s.recv(4096)
print('open', flush=True)
try:
    print('closed' if not s.recv(1) else 'open still', flush=True)
except ConnectionResetError:  # it must not look like the server's end
    print('cut off', flush=True)" >&7 2>&1
read -r -t 20 said <&7
check_text "a tunnel" open "$said"
aisbx network --deny-host 127.0.0.1 "$id" >/dev/null
read -r -t 20 said <&7
check_text "a tunnel that is forbidden" "cut off" "$said"
exec 7>&-
aisbx network --network limited "$id" >/dev/null

# ---- the proxy dies ----
worker_pid=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
proxies() { pgrep -P "$(pgrep -P "$worker_pid")" -f '^aisbx-egress'; }
mapfile -t before < <(proxies)
[[ ${#before[@]} -eq 1 ]] || fail "one proxy is expected, not: ${before[*]}"
kill -KILL "${before[0]}"
check_status 0 exec "$id" -- "${get[@]}" # waits in the backlog for the next one
check_text "after the death of the proxy" inside "$(<"$dir/out")"
[[ $(proxies) != "${before[0]}" ]] || fail "the proxy is the same"
aisbx destroy "$id" >/dev/null

# ---- it ends with the worker, and with the spawner ----
proxy=$(proxies)
kill -KILL "$(pgrep -P "$worker_pid")"
wait_for "the end of the proxy" bash -c "! kill -0 $proxy"

# ---- without the proxy ----
bare=$dir/bare
mkdir "$bare"
cp -r "$(dirname "${program[-1]}")/." "$bare"
rm "$bare/aisbx-egress"
chmod -R go+rX "$bare"
program[-1]=$bare/aisbx
check_status 0 "${run[@]}" --verbose -- sh -c '! curl -s http://127.0.0.1:3128/'
check_has "without the proxy" 'weaker than the profile asks: egress: no network at all.*aisbx-egress is not beside' "$(<"$dir/err")"
check_has "without the proxy" 'absent egress: ' "$(<"$dir/err")"
check_status 125 "${run[@]}" --require egress -- true
check_has "without the proxy" 'required control egress is not enforced.*aisbx-egress' "$(<"$dir/err")"
id=$(aisbx create --profile net --no-workspace)
check_has "without the proxy" '^network none$' "$(aisbx network "$id")"
check_status 1 network --network limited "$id"
aisbx worker stop
