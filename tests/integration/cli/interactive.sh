#!/usr/bin/env bash
# Terminals: exec -it, run -it, attach, ps and kill, with a worker of one's own and, by gRPC, with one that is named.
source "$(dirname "$0")/common.sh"
work
cp "$repo/tests/integration/cli/interactive.py" "$dir/interactive.py"
chmod 644 "$dir/interactive.py"
as=()
[[ ${#program[@]} -eq 1 ]] || as=("${program[@]:0:${#program[@]}-1}")

id=$(aisbx create --profile python-dev)
"${as[@]}" timeout -s KILL 150 python3 "$dir/interactive.py" "$id" "${program[-1]}" || fail "on this machine"

[[ -x $bin/aisbx-remote ]] || exit 0
tcp=127.0.0.1:$(free_port)
echo "auth: {loopback: user}" >"$dir/config.yaml"
start_worker --listen "ipv4:$tcp" --config "$dir/config.yaml"
export AISBX_ADDRESS=ipv4:$tcp
id=$("$bin/aisbx" create --no-workspace --profile python-dev)
timeout -s KILL 150 python3 "$dir/interactive.py" "$id" "$bin/aisbx" || fail "by gRPC"
