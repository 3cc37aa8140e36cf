# Sourced by the scripts here, after tests/lib/env.sh: Node of the version that the packages need, and servers.
node_modules=$repo/tests/mcp/node_modules
node=$node_modules/node-linux-$([[ $(uname -m) == x86_64 ]] && echo x64 || echo arm64)/bin/node
[[ -x $node ]] || skip "npm packages of tests/mcp are not installed (./dev test does it)"
source "$repo/tests/mcp/serve.sh"
