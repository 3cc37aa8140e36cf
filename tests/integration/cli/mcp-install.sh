#!/usr/bin/env bash
# aisbx mcp install and uninstall: files of other programs, which stay theirs.
source "$(dirname "$0")/../../lib/env.sh"
command -v python3 >/dev/null || skip "needs python3"
cd "$dir"
export HOME=$dir/home XDG_CONFIG_HOME= PATH=$dir/path:$PATH
mkdir -p home path project
printf '#!/bin/sh\n' >path/aisbx-mcp # found where it is not built yet
chmod +x path/aisbx-mcp
aisbx=$bin/aisbx
claude=$HOME/.config/Claude/claude_desktop_config.json

# member FILE PYTHON-EXPRESSION of the parsed file "d"
member() {
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

# ---- nothing there yet ----
out=$("$aisbx" mcp install --dry-run claude)
[[ $out == "would be created: $claude"* ]] || fail "$out"
[[ ! -e $HOME/.config ]] || fail "a dry run made something"
"$aisbx" mcp install --profile python-dev --env AISBX_API_KEY=k claude >out 2>err
[[ $(member "$claude" 'd["mcpServers"]["aisbx"]["args"]') == "['--transport', 'stdio']" ]] || fail "$(<"$claude")"
[[ $(member "$claude" 'd["mcpServers"]["aisbx"]["command"]') == /*/aisbx-mcp ]] || fail "$(<"$claude")"
[[ $(member "$claude" 'd["mcpServers"]["aisbx"]["env"]["AISBX_DEFAULT_PROFILE"]') == python-dev ]] || fail "$(<"$claude")"
[[ $(stat -c %a "$claude") == 600 ]] || fail "$(stat "$claude")"
grep -q 'start Claude Desktop anew' err || fail "$(<err)"
[[ $("$aisbx" mcp install --profile python-dev --env AISBX_API_KEY=k claude) == unchanged:* ]] || fail "not idempotent"
"$aisbx" mcp uninstall claude >out
[[ ! -e $claude ]] || fail "the file made for the entry stays"

# ---- a file of somebody's, with comments, a mode and a link ----
mkdir -p "$HOME/.config/Code/User" dotfiles
printf '{\n\t// mine\n\t"servers": {\n\t\t"other": {"url": "http://x/,}"}, // last\n\t},\n}\n' >dotfiles/mcp.json
cp dotfiles/mcp.json before
chmod 644 dotfiles/mcp.json
ln -s "$dir/dotfiles/mcp.json" "$HOME/.config/Code/User/mcp.json"
[[ $("$aisbx" mcp install --json vscode | python3 -c 'import json, sys; print(json.load(sys.stdin)["action"])') == added ]] || fail "not added"
[[ -L $HOME/.config/Code/User/mcp.json && $(stat -c %a dotfiles/mcp.json) == 644 ]] || fail "link or mode are gone"
grep -q '// mine' dotfiles/mcp.json && grep -q '"type":"stdio"' dotfiles/mcp.json || fail "$(<dotfiles/mcp.json)"
cmp -s before dotfiles/mcp.json.aisbx-backup || fail "no backup"
"$aisbx" mcp install --profile strict vscode >out 2>&1 # again, otherwise: the backup stays the first
cmp -s before dotfiles/mcp.json.aisbx-backup || fail "the backup was written over"
"$aisbx" mcp uninstall vscode | grep -q '^restored' || fail "not restored"
cmp before dotfiles/mcp.json || fail "not what it was"
[[ ! -e dotfiles/mcp.json.aisbx-backup ]] || fail "the backup stays"

# ---- changed by its owner since ----
"$aisbx" mcp install vscode >out 2>&1
sed -i 's/mine/still mine/' dotfiles/mcp.json
"$aisbx" mcp uninstall vscode | grep -q '^changed' || fail "not taken out"
sed 's/mine/still mine/' before | cmp - dotfiles/mcp.json || fail "more than the entry went"

# ---- a project, and another name ----
cd project
"$aisbx" mcp install --project --name box cursor >../out 2>&1
[[ $(member .cursor/mcp.json 'list(d["mcpServers"])') == "['box']" ]] || fail "$(<.cursor/mcp.json)"
cd ..

# ---- what is refused changes nothing ----
printf '{"mcpServers": [1}' >bad.json
! "$aisbx" mcp install --file bad.json claude >out 2>err || fail "took what is not JSON"
grep -q 'bad.json: line 1' err && grep -q 'nothing was changed' err || fail "$(<err)"
[[ $(<bad.json) == '{"mcpServers": [1}' && ! -e bad.json.aisbx-backup ]] || fail "changed it"
! "$aisbx" mcp install emacs >out 2>err || fail "took emacs"
grep -q 'none of claude' err || fail "$(<err)"
! "$aisbx" mcp install --name 'a"b' claude >out 2>err || fail "took a name with a quote"
! "$aisbx" mcp uninstall claude >out 2>err || fail "undid what was not done"
grep -q 'aisbx mcp install claude' err || fail "$(<err)"
! "$aisbx" mcp install --env NOVALUE claude >out 2>err || fail "took --env without a value"
