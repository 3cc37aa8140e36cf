#!/usr/bin/env bash
# audit.sh root|user SCRIPT: as that identity, with a directory of its own.
source "$(dirname "$0")/../../lib/env.sh"
unset AISBX_ADDRESS AISBX_API_KEY AISBX_CONFIG_PATH AISBX_DEBUG AISBX_DEFAULT_PROFILE
as=()
bins=$bin
mkdir "$dir/mine"
if [[ $1 == root && $(id -u) -ne 0 ]]; then
    skip "not root"
elif [[ $1 == user && $(id -u) -eq 0 ]]; then
    bins=$(user_bin)
    as=(setpriv "--reuid=$user_id" "--regid=$user_id" --clear-groups --inh-caps=-all env -u XDG_CONFIG_HOME)
    chown "$user_id:$user_id" "$dir/mine"
fi
mkdir "$dir/code"
cp "$repo"/tests/integration/audit/*.py "$dir/code"
chmod -R go+rX "$dir/code"
export HOME=$dir/mine AISBX_RUNTIME_DIR=$dir/mine/run PYTHONDONTWRITEBYTECODE=1
cd "$dir/mine"
"${as[@]}" "$bins/aisbx" --version >/dev/null 2>&1 || skip "an ordinary user cannot run programs in $dir"
status=0
"${as[@]}" /usr/bin/python3 "$dir/code/$2" "$bins" "$dir/mine" || status=$?
[[ $status -eq 0 || $status -eq 77 ]] || fail "$2"
exit "$status"
