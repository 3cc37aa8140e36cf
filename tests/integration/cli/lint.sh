#!/usr/bin/env bash
# lint.sh root|user: aisbx-security profile lint tells what is wrong or unwise in a configuration file.
source "$(dirname "$0")/common.sh"
security=("${program[@]}")
security[-1]=${security[-1]}-security
work
mkdir "$dir/tmp"
chmod 1777 "$dir/tmp"
export TMPDIR=$dir/tmp # where its workers live

# lint_of WANTED ARGS...: status and output, in $dir/out and $dir/err.
lint_of() {
    local wanted=$1 got=0
    shift
    "${security[@]}" profile lint "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    [[ $got == "$wanted" ]] || fail "profile lint $*: status $got, wanted $wanted; $(head -c 800 "$dir/out" "$dir/err")"
}

# ---- nothing to say ----
mkdir data
cat >good.yaml <<'YAML'
profiles:
  mine: {extends: strict, mounts: [{source: ./data, target: /data}]}
YAML
chmod 644 good.yaml
lint_of 0 good.yaml
check_has "good" 'good.yaml: nothing to say' "$(<"$dir/out")"

# ---- what is wrong is told as validate tells it ----
printf 'profiles:\n  mine: {memroy: 1g}\n' >wrong.yaml
chmod 644 wrong.yaml
lint_of 4 wrong.yaml
check_has "wrong" 'wrong.yaml:2:10: unknown key "memroy"; did you mean "memory"' "$(<"$dir/out")"
printf 'profiles:\n  mine: {seccomp: ./list.json}\n' >list.yaml
chmod 644 list.yaml
lint_of 4 list.yaml
check_has "no list" 'list.json' "$(<"$dir/out")"

# ---- what is unwise, with the line and what is better ----
echo '{"defaultAction": "SCMP_ACT_ALLOW"}' >list.json
chmod 666 list.json
lint_of 4 list.yaml
check_has "open" '^fail: open system calls: mine: .*list.yaml:2' "$(<"$dir/out")"
check_has "open" 'better: .*aisbx-security profile learn' "$(<"$dir/out")"
check_has "writable" '^fail: list others write: ' "$(<"$dir/out")"
cat >weak.yaml <<'YAML'
profiles:
  base-of-mine:
    abstract: true
    extends: python-dev
    network:
      allow: ["*.org"]
  mine:
    extends: base-of-mine
    environment:
      API_KEY: abc123
YAML
chmod 644 weak.yaml
lint_of 3 weak.yaml
check_has "network" '^warn: wide network rule: mine: "\*.org" .*weak.yaml:6' "$(<"$dir/out")"
check_has "environment" '^warn: secret in environment: mine: API_KEY .*weak.yaml:10' "$(<"$dir/out")"
! grep -q abc123 "$dir/out" || fail "the secret is printed"
chmod 666 weak.yaml
lint_of 4 weak.yaml
check_has "writable" '^fail: file others write: ' "$(<"$dir/out")"

# ---- as JSON; the file that aisbx itself would read; usage ----
chmod 644 weak.yaml
lint_of 3 --json weak.yaml
/usr/bin/python3 -c '
import json, sys
told = json.load(open(sys.argv[1]))
assert told["exit_status"] == 3 and told["file"].endswith("/weak.yaml")
assert {f["rule"] for f in told["findings"]} == {"wide network rule", "secret in environment"}, told
assert all(f["better"] for f in told["findings"])
' "$dir/out" || fail "json: $(<"$dir/out")"
AISBX_CONFIG_PATH=$PWD/good.yaml
export AISBX_CONFIG_PATH
lint_of 0
unset AISBX_CONFIG_PATH
lint_of 1 none.yaml
lint_of 2 good.yaml weak.yaml
lint_of 0 --help
check_has "help" '^  aisbx-security profile lint' "$(<"$dir/out")"

# ---- nothing is left ----
check_text "left in TMPDIR" '' "$(ls "$TMPDIR")"
