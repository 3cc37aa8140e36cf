#!/usr/bin/env bash
# create, exec, list, logs, destroy, detached programs, and the verbs about profiles and the worker.
source "$(dirname "$0")/common.sh"
work

check_text "no worker yet" '' "$(aisbx list --quiet)"
check_text "no worker yet" '[]' "$(aisbx list --json)"
check_status 0 destroy --all
check_status 1 logs sb_x

id=$(aisbx create --profile python-dev --label team=red --ttl 1h)
# The variable of a script that is not set is not the only sandbox there is.
for verb in destroy pause logs ps snapshot network; do
    for none in '' sb_; do
        check_status 1 "$verb" "$none"
        check_has "$verb '$none'" "is not the id of a sandbox" "$(<"$dir/err")"
    done
done
check_status 125 exec '' true
check_status 1 kill ''
check_status 1 kill ex_
check_text "and that one is still there" "$id" "$(aisbx list --quiet)"
check_status 1 ps nope
check_has "the next step" 'aisbx list shows' "$(<"$dir/err")"
[[ $id =~ ^sb_[a-z2-7]{26}$ ]] || fail "create printed '$id'"
other=$(aisbx create --profile strict --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["sandbox_id"])')

# ---- exec ----
aisbx exec "$id" sh -c 'echo kept >/tmp/file'
check_text "files stay" kept "$(aisbx exec "$id" -- cat /tmp/file)"
check_text "abbreviated id" kept "$(aisbx exec "${id:0:12}" cat /tmp/file)"
check_text "stdin" abc "$(printf abc | aisbx exec "$id" cat)"
check_status 9 exec "$id" sh -c 'exit 9'
check_status 124 exec --timeout 200ms "$id" sleep 60
check_status 127 exec "$id" no-such-command
check_text "environment" 1 "$(aisbx exec -e X=1 "$id" sh -c 'echo $X')"
check_status 125 exec sb_aaaaaaaaaaaaaaaaaaaaaaaaaa true

# A program that leaves a daemon with our streams behind must not keep us waiting.
check_text "leftovers" done "$(timeout 20 "$BASH" -c 'cat' < <(aisbx exec "$id" sh -c 'sleep 300 >/dev/null 2>&1 & echo done'))"

# What cannot be started is not said to run, in the background neither; and the sandbox made for it goes again.
before=$(aisbx list --quiet | sort)
for row in "127 no-such-command" "127 ./no-such-file" "126 --cwd=/no/such true"; do
    read -r wanted words <<<"$row"
    # shellcheck disable=SC2086
    check_status "$wanted" run --detach --no-workspace $words
    check_text "run --detach $words" '' "$(<"$dir/out")"
    [[ -s $dir/err ]] || fail "run --detach $words says nothing"
done
check_text "sandboxes for what did not start" "$before" "$(aisbx list --quiet | sort)"
check_status 127 exec --detach "$id" no-such-command
check_text "exec --detach" '' "$(<"$dir/out")"
# In the records a program that goes on without its caller did not fail.
security=("${program[@]}")
security[-1]=${security[-1]}-security
ex=$(aisbx exec --detach "$id" sleep 300)
outcomes() { "${security[@]}" audit query --json --action exec.start --sandbox "$id" | python3 -c '
import json, sys
print(*(r["outcome"] for r in json.load(sys.stdin) if r.get("exec_id") == sys.argv[1]))' "$ex"; }
wait_for "the record of what was started" eval '[[ -n $(outcomes) ]]'
check_text "outcome of exec --detach" ended "$(outcomes)"
check_status 0 kill "$ex"
# The beginning of an id is no id here, and no records are no answer.
for verb in "audit query" "audit tail" "audit export"; do
    status=0
    # shellcheck disable=SC2086
    "${security[@]}" $verb --sandbox "${id:0:12}" >"$dir/out" 2>"$dir/err" || status=$?
    check_text "$verb --sandbox of a part" 2 "$status"
    check_has "$verb --sandbox of a part" "not the whole id" "$(<"$dir/err")"
    # An action that no record has is a mistake, too.
    status=0
    # shellcheck disable=SC2086
    "${security[@]}" $verb --action exec.strat >"$dir/out" 2>"$dir/err" || status=$?
    check_text "$verb --action of none" 2 "$status"
    check_has "$verb --action of none" "did you mean exec.start" "$(<"$dir/err")"
done

# ---- list ----
check_text "list" "$(printf '%s\n' "$id" "$other" | sort)" "$(aisbx list --quiet | sort)"
check_text "list by label" "$id" "$(aisbx list --quiet --label team=red)"
check_text "list by profile" "$other" "$(aisbx list --quiet --profile strict)"
check_has "table" "^SANDBOX  *PROFILE" "$(aisbx list)"
check_has "table" "$id.*running.*team=red" "$(aisbx list)"

# ---- logs ----
ex=$(aisbx exec --detach "$id" sh -c 'for i in 1 2 3; do echo out$i; echo err$i >&2; sleep 0.1; done')
[[ $ex =~ ^ex_[a-z2-7]{26}$ ]] || fail "exec --detach printed '$ex'"
aisbx logs --follow "$ex" >"$dir/out" 2>"$dir/err"
check_text "logs" "$(printf 'out1\nout2\nout3')" "$(<"$dir/out")"
check_text "logs" "$(printf 'err1\nerr2\nerr3')" "$(<"$dir/err")"
check_text "logs of the newest program" "$(printf 'out1\nout2\nout3')" "$(aisbx logs --stdout "$id" 2>&1)"
check_text "only stderr" "$(printf 'err1\nerr2\nerr3')" "$(aisbx logs --stderr "$ex" 2>&1)"
check_text "tail" "out3" "$(aisbx logs --tail 5 --stdout "$ex")"
check_has "logs as JSON" '"stdout":"out1\\nout2\\nout3\\n"' "$(aisbx logs --json "$ex")"

# ---- the beginning of an id that is on another page than the first ----
old=$(aisbx exec --detach "$other" echo oldest)
for _ in {1..201}; do
    aisbx exec "$other" true
done
check_text "logs of the oldest of 202 by the beginning of its id" oldest "$(aisbx logs "${old:0:20}")"

# ---- destroy ----
check_text "destroy" "$id" "$(aisbx destroy "${id:0:14}")"
check_text "the other is left" "$other" "$(aisbx list --quiet)"
check_has "remembered" "$id.*destroyed" "$(aisbx list --all)"
check_status 125 exec "$id" true
check_status 1 destroy sb_nosuch
check_text "destroy all" "$other" "$(aisbx destroy --all)"
check_text "none is left" '' "$(aisbx list --quiet)"
check_status 2 destroy

# ---- detached run ----
id=$(aisbx run --detach --profile python-dev sh -c 'echo started; sleep 0.2; echo over')
check_text "detached run" "$(printf 'started\nover')" "$(aisbx logs --follow "$id")"
aisbx destroy "$id" >"$dir/out"

# ---- profiles ----
check_has "profile list" "^python-dev " "$(aisbx profile list)"
check_has "profile show" "read-only" "$(aisbx profile show strict)"
check_status 1 profile show nope
cat >good.yaml <<'YAML'
profiles:
  mine:
    name: mine
    driver: native
    cpu: "1"
    memory: 64m
    network: {enabled: false}
    environment: {FROM_PROFILE: "yes"}
YAML
sed 's/memory: 64m/memroy: 64m/' good.yaml >bad.yaml
chmod 644 ./*.yaml
check_status 0 profile validate good.yaml
check_has "good" "mine" "$(<"$dir/out")"
check_status 1 profile validate bad.yaml
check_has "bad" '^bad.yaml:6:5: .*memroy.*memory' "$(<"$dir/out")"
check_has "standard input" "^standard input:6:5: " "$(aisbx profile validate - <bad.yaml || true)"
sed 's/cpu: "1"/seccomp: .\/list.json/' good.yaml >list.yaml
chmod 644 list.yaml
check_status 1 profile validate list.yaml
check_has "a list that is not there" '^list.yaml:5:.*seccomp: .*list.json.*No such file' "$(<"$dir/out")"
echo '{"defaultAction": "SCMP_ACT_MAYBE"}' >list.json
chmod 644 list.json
check_status 1 profile validate --json list.yaml
check_has "a list that is none" '"line":5,.*list.json.*SCMP_ACT_MAYBE' "$(<"$dir/out")"
echo '{"defaultAction": "SCMP_ACT_ALLOW"}' >list.json
check_status 0 profile validate list.yaml
export AISBX_CONFIG_PATH=good.yaml
check_text "a profile of one's own" yes "$(aisbx run --profile mine -- sh -c 'echo $FROM_PROFILE')"
check_text "and as default" yes "$(AISBX_DEFAULT_PROFILE=mine aisbx run -- sh -c 'echo $FROM_PROFILE')"
# ---- a file that changes under a worker ----
from_profile() { aisbx run --profile mine -- sh -c 'echo $FROM_PROFILE' 2>"$dir/err"; }
rewrite() { sed "$1" good.yaml >new.yaml && chmod 644 new.yaml && mv new.yaml good.yaml; }
rewrite 's/"yes"/"changed"/'
check_text "a changed profile" changed "$(from_profile)"
check_text "is read without a word" '' "$(<"$dir/err")"
id=$(aisbx create --profile mine)
rewrite 's/"changed"/"again"/'
check_text "a worker with sandboxes keeps what it read" changed "$(from_profile)"
check_has "and that is said" "config.yaml has changed" "$(<"$dir/err")"
check_text "its sandbox lives" "$id" "$(aisbx destroy "$id")"
check_text "then it is read" again "$(from_profile)"
rewrite 's/memory:/memroy:/'
check_status 125 run --profile mine -- true
check_has "a change for the worse" "good.yaml:6:5" "$(<"$dir/err")"
rewrite 's/memroy:/memory:/'
check_text "and mended" again "$(from_profile)"

aisbx worker stop
export AISBX_CONFIG_PATH=bad.yaml
check_status 125 run --profile mine -- true
check_has "a bad configuration" "bad.yaml:6:5" "$(<"$dir/err")"
unset AISBX_CONFIG_PATH

# ---- a file that goes away, or is another one ----
own=$dir/user/.config/aisbx
if [[ $who == root || $(id -u) -ne 0 ]]; then
    export XDG_CONFIG_HOME=$PWD/xdg
    own=$XDG_CONFIG_HOME/aisbx
fi
mkdir -p "$own"
cp good.yaml "$own/config.yaml"
chmod -R a+rX "${own%/aisbx}"
check_text "a profile in the usual place" again "$(from_profile)"
rm "$own/config.yaml"
check_status 125 run --profile mine -- true
check_has "a file that went away" 'mine' "$(<"$dir/err")"
if [[ -v XDG_CONFIG_HOME ]]; then
    cp good.yaml "$own/config.yaml"
    check_text "a file that came" again "$(from_profile)"
    XDG_CONFIG_HOME=$PWD/elsewhere check_status 125 run --profile mine -- true
    unset XDG_CONFIG_HOME
fi

# ---- worker ----
check_has "worker info" "seccomp *enforced" "$(aisbx worker info)"
worker=$(aisbx worker info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
aisbx worker stop
# What is left may be a zombie whose new parent is slow.
! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$worker/status" || fail "worker stop returned before process $worker ended"
check_status 0 worker stop
