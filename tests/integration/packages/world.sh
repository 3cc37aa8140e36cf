# Sourced: a network of its own with the registries in it, profiles that may reach them, and run_as.
source "$(dirname "${BASH_SOURCE[0]}")/../../lib/env.sh"
[[ -x $bin/aisbx-egress ]] || skip "there is no aisbx-egress"
[[ $(id -u) -eq 0 ]] || skip "needs root, for a network of its own"
if [[ -z ${AISBX_TEST_NET-} ]]; then
    unshare --net --mount true 2>/dev/null || skip "no network namespace is to be had"
    AISBX_TEST_NET=1 unshare --net --mount "$0" "$@"
    exit
fi
for program in /usr/bin/ip /usr/bin/python3; do [[ -x $program ]] || skip "$program is not installed"; done
/usr/bin/python3 -m pip --version >/dev/null 2>&1 || skip "there is no pip for /usr/bin/python3 (python3-pip)"

address=10.99.0.1 port=8080
ip link set lo up
ip address add "$address/32" dev lo
printf '127.0.0.1 localhost\n%s registry.test other.test\n' "$address" >"$dir/hosts"
chmod 644 "$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts
mkdir "$dir/registry"
python3 "$repo/tests/integration/packages/registry.py" "$dir/registry" "$address" "$port" >"$dir/ready" 2>"$dir/log" &
pids+=("$!")
for ((i = 0; i < 200; i++)); do [[ -s $dir/ready ]] && break || sleep 0.05; done
[[ -s $dir/ready ]] || fail "the registry does not start: $(tail -n 3 "$dir/log")"

url=http://registry.test:$port
reach="network: {allow: [\"registry.test:$port\", \"$address:$port\"]}"
pip="pip: {registry: \"$url/simple\", hosts: [\"$address:$port\"]}"
npm="registry: \"$url/npm\", hosts: [\"$address:$port\"]"
from="$pip, npm: {$npm}"
cat >"$dir/config.yaml" <<YAML
profiles:
  py: {extends: python-dev, $reach, packages: {$from}}
  js: {extends: node-dev, $reach, packages: {$from}}
  slow: {extends: python-dev, $reach, packages: {pip: {registry: "$url/slow/simple", hosts: ["$address:$port"]}, timeout: 60s}}
  hasty: {extends: python-dev, $reach, packages: {pip: {registry: "$url/slow/simple", hosts: ["$address:$port"]}, timeout: 3s}}
  code: {extends: python-dev, $reach, packages: {$pip, npm: {$npm, run_code: true}}}
  unkept: {extends: python-dev, $reach, packages: {$from, keep: false}}
  short: {extends: python-dev, $reach, packages: {$from, keep_for: 1s}}
  closed: {extends: strict, packages: {$from}}
  narrow: {extends: python-dev, network: {allow: ["other.test:$port"]}, packages: {$from}}
YAML
chmod 755 "$dir"
chmod 644 "$dir/config.yaml"
export AISBX_CONFIG_PATH=$dir/config.yaml

# run_as WHO ARGS...: aisbx ARGS as root or as an ordinary user, in an empty workspace of theirs.
run_as() {
    local who=$1 made
    shift
    made=$(mktemp -d "$dir/work.XXXXXX")
    cd "$made"
    if [[ $who == root ]]; then
        "$bin/aisbx" "$@"
    else
        chown "$user_id:$user_id" "$made"
        as_user "$(user_bin)/aisbx" "$@"
    fi
}
asked() { grep -c "$1" "$dir/registry/requests" || true; }
forget_asked() { : >"$dir/registry/requests"; }
