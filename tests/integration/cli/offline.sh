#!/usr/bin/env bash
# What needs no worker, and must not start one: help, version, completion, manual page, wrong usage.
source "$(dirname "$0")/../../lib/env.sh"
export AISBX_RUNTIME_DIR=$dir/runtime
aisbx=$bin/aisbx

status_of() {
    local status=0
    "$aisbx" "$@" >"$dir/out" 2>"$dir/err" || status=$?
    echo "$status"
}
check() { [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"; }

check "--version" 0 "$(status_of --version)"
grep -qE '^aisbx [0-9]+\.[0-9]+\.[0-9]+' "$dir/out" || fail "--version printed $(<"$dir/out")"
check "--help" 0 "$(status_of --help)"
check "no verb" 2 "$(status_of)"
check "unknown verb" 2 "$(status_of rnu)"
grep -q 'did you mean "run"' "$dir/err" || fail "no suggestion for rnu: $(<"$dir/err")"
check "unknown option" 2 "$(status_of list --al)"
grep -q 'did you mean --all' "$dir/err" || fail "no suggestion for --al: $(<"$dir/err")"
for verb in run create exec list logs destroy "profile list" "profile show" "profile validate" "worker info" completion; do
    # shellcheck disable=SC2086
    check "$verb --help" 0 "$(status_of $verb --help)"
    grep -q '^Examples:' "$dir/out" || fail "$verb --help has no examples"
    # shellcheck disable=SC2086
    check "help $verb" 0 "$(status_of help $verb)"
done

# A word that several verbs begin with.
for group in profile packages worker mcp; do
    for words in "$group --help" "$group -h" "help $group" "--help $group"; do
        # shellcheck disable=SC2086
        check "$words" 0 "$(status_of $words)"
        grep -qE "^  $group [a-z]+  " "$dir/out" || fail "$words: $(<"$dir/out")"
    done
    check "$group" 2 "$(status_of "$group")"
    grep -q 'There are: ' "$dir/err" || fail "$group: $(<"$dir/err")"
done
check "--help of no group" 2 "$(status_of nonsense --help)"
check "an option and no verb" 2 "$(status_of -A list)"
grep -q 'which verb' "$dir/err" || fail "-A list: $(<"$dir/err")"
# A variable of a script that is not set does not mean the default.
for option in --profile --driver --cwd --user --hostname; do
    check "run $option ''" 125 "$(status_of run "$option" '' true)"
    grep -q -- "option $option: .*is empty" "$dir/err" || fail "run $option '': $(<"$dir/err")"
done

# A number beyond 64 bits is a large one.
check "run --timeout" 125 "$(status_of run --timeout 99999999999999999999s true)"
grep -q 'too large; the maximum is 24h' "$dir/err" || fail "run --timeout of too much: $(<"$dir/err")"
# Streams say that they print lines, all others one value.
for verb in batch grep watch; do
    check "$verb --help" 0 "$(status_of $verb --help)"
    tr '\n' ' ' <"$dir/out" | grep -q 'JSON Lines' || fail "$verb --help does not say what --json prints"
done
# Who is told of a start must be there.
for program in aisbx-worker aisbx-mcp; do
    status=0
    "$bin/$program" --ready-fd 99 >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    check "$program --ready-fd 99" 2 "$status"
    grep -q 'descriptor 99 is not open' "$dir/err" || fail "$program --ready-fd 99: $(<"$dir/err")"
    status=0
    "$bin/$program" --ready-fd 9 9</dev/null >"$dir/out" 2>"$dir/err" </dev/null || status=$?
    check "$program --ready-fd 9, which is for reading" 2 "$status"
done

# No colours where nobody sees them, none when they are not wanted.
"$aisbx" rnu 2>"$dir/err" || true
! grep -q $'\e' "$dir/err" || fail "colours in a file"
if command -v script >/dev/null; then
    TERM=xterm script -qec "$aisbx rnu" /dev/null </dev/null >"$dir/tty" || true
    grep -q $'\e\[' "$dir/tty" || fail "no colours on a terminal"
    NO_COLOR=1 TERM=xterm script -qec "$aisbx rnu" /dev/null </dev/null >"$dir/tty" || true
    ! grep -q $'\e\[' "$dir/tty" || fail "colours in spite of NO_COLOR"
fi

"$aisbx" completion bash >"$dir/completion.bash"
words=$(bash -c '
    source "$1"
    complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _aisbx; echo "${COMPREPLY[*]}"; }
    complete_words aisbx pro
    complete_words aisbx profile v
    complete_words aisbx run --works
    complete_words aisbx run --profile str
    complete_words aisbx run --network ""
    complete_words aisbx list --state ""
    complete_words aisbx run --profile = str
    complete_words aisbx run --profile =
    complete_words aisbx --json --address unix : /x run --prof
    complete_words aisbx -A unix:/x profile v
    aisbx() {
        case $* in
        "ps --quiet") echo ex_one ;;
        "list --quiet") echo sb_one ;;
        "snapshots --quiet") echo sn_one ;;
        "profile list --quiet") echo mine yours ;;
        esac
    }
    complete_words aisbx run --profile m
    complete_words aisbx profile show m
    for verb in kill logs rollback exec; do complete_words aisbx $verb ""; done
' - "$dir/completion.bash")
check "bash completion" 'profile
validate
--workspace
strict
none limited
starting running paused stopping destroyed
strict
python-dev node-dev go-dev rust-dev java-dev strict minimal
--profile
validate
mine
mine
ex_one
ex_one sb_one
sb_one sn_one
sb_one' "$words"
if command -v zsh >/dev/null; then
    "$aisbx" completion zsh | zsh -n || fail "zsh cannot read its completion"
fi
if command -v fish >/dev/null; then
    "$aisbx" completion fish | fish -n || fail "fish cannot read its completion"
fi
check "unknown shell" 2 "$(status_of completion csh)"

# ---- manual pages ----
pages=${AISBX_BUILD:-$bin/..}/man
if [[ -e $pages/aisbx.1 ]]; then
    for word in run create exec list logs destroy AISBX_ADDRESS AISBX_TLS_CA AISBX_RUNTIME_DIR 'EXIT STATUS'; do
        grep -q -- "$word" "$pages/aisbx.1" || fail "aisbx.1 does not mention $word"
    done
    for page in "$pages"/*.[18]; do
        command -v man >/dev/null || break
        warnings=$(MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
        [[ -z $warnings ]] || fail "${page##*/}: $warnings"
    done
    for page in aisbx-worker.8 aisbx-supervisor.8 aisbx-mcp.1; do
        program=$bin/${page%.*}
        [[ -x $program ]] || continue
        text=$(sed 's/\\-/-/g' "$pages/$page")
        for option in $("$program" --help | grep -oE '^  --[a-z-]+'); do
            grep -qF -- "B$option" <<<"$text" || fail "$page does not mention $option"
        done
        ! "$program" --help | grep -qE '^  --man' || fail "$program --help shows what the manual is made by"
    done
fi

# ---- settings that cannot work are named before anybody is asked ----
for address in foo://bar http://x:1 tcp:127.0.0.1:9 vsock:3:4 ipv4:127.0.0.1 ipv4:127.0.0.1:65536 ' '; do
    check "address '$address'" 1 "$(status_of --address "$address" list)"
    grep -qF "address \"$address\"" "$dir/err" || fail "address '$address': $(<"$dir/err")"
done

# ---- wrong usage that the verb finds, too ----
while read -r words; do
    # shellcheck disable=SC2086
    check "$words" 2 "$(status_of $words)"
done <<'VERBS'
expose sb_x 0
unexpose sb_x 80 65536
port-forward sb_x nope
list --state nope
list --all --state running
kill -s NOPE ex_x
kill --tree ex_x
completion tcsh
logs --stdout --stderr ex_x
snapshots --delete
snapshots sb_x sb_y
destroy
update sb_x
update --ttl 1h --no-ttl sb_x
batch x.py
batch --cases . x.unknown
code --code 1 x.py
cp a b
cp sb_x:a sb_x:b
cp --json sb_x:a -
cp --tar sb_x:a b
cp --tar a sb_x:b
diff --tar --json sb_x
mcp install emacs
mcp uninstall emacs
mcp install --name a/b claude
mcp install --env NOVALUE claude
mcp install --env =value claude
create --require nothing
create --label nothing
create --workspace . --no-workspace
create --mount x:y
VERBS
check "mcp install --file of 5000 letters" 2 "$(status_of mcp install --file "$(printf %5000s | tr ' ' x)" claude)"
while read -r words; do
    status=0
    # shellcheck disable=SC2086
    "$bin/aisbx-security" $words >"$dir/out" 2>"$dir/err" || status=$?
    check "aisbx-security $words" 2 "$status"
done <<'VERBS'
audit query --since nope
audit verify --head nope
keys create --tenant t --expires nope
keys create --tenant t --expires 4000d
keys create
keys create --tenant t --json --file k
profile lint --address unix:/x
profile learn --address unix:/x -- true
profile learn --detach -- true
VERBS

export AISBX_CONFIG_PATH=$dir/nonexistent
for verb in "list" "destroy --all" "worker stop"; do
    # shellcheck disable=SC2086
    check "$verb with a wrong AISBX_CONFIG_PATH" 1 "$(status_of $verb)"
    grep -q AISBX_CONFIG_PATH "$dir/err" || fail "$verb: $(<"$dir/err")"
done
unset AISBX_CONFIG_PATH
check "a key with a line end" 1 "$(AISBX_API_KEY=$'secret\n' status_of list)"
grep -q 'AISBX_API_KEY: character 7' "$dir/err" || fail "key: $(<"$dir/err")"
! grep -q secret "$dir/err" || fail "the key is told"
check "a certificate without its key" 1 "$(AISBX_TLS_CERT=x.pem status_of --address ipv4:127.0.0.1:1 list)"
grep -q AISBX_TLS_KEY "$dir/err" || fail "certificate: $(<"$dir/err")"

# A worker that cannot be looked for is not one that does not run.
if command -v setpriv >/dev/null || [[ $(id -u) -ne 0 ]]; then
    mkdir -p "$dir/closed/run"
    chmod 000 "$dir/closed"
    for verb in list ps snapshots "destroy --all" "worker stop"; do
        status=0
        # shellcheck disable=SC2086
        as_user env AISBX_RUNTIME_DIR="$dir/closed/run" "$(user_bin)/aisbx" $verb >"$dir/out" 2>"$dir/err" || status=$?
        check "$verb in a closed directory" 1 "$status"
        grep -q 'Permission denied' "$dir/err" || fail "$verb in a closed directory: $(<"$dir/err")"
    done
    chmod 700 "$dir/closed"
fi

if [[ -c /dev/full ]]; then
    for program in aisbx aisbx-security aisbx-worker aisbx-supervisor aisbx-mcp; do
        [[ ! -x $bin/$program ]] || ! "$bin/$program" --help >/dev/full 2>"$dir/err" || fail "$program --help to a full device: status 0"
        [[ ! -x $bin/$program ]] || grep -q 'No space left' "$dir/err" || fail "$program --help to a full device: $(<"$dir/err")"
    done
fi

# Of aisbx-worker: nothing else is listened on than what was asked for.
for address in ipv4:127.0.0.1:65536 ipv4:127.0.0.1: ipv4:127.0.0.1 nonsense; do
    status=0
    timeout 20 "$bin/aisbx-worker" --state-dir "$dir/state" --listen "$address" >"$dir/out" 2>"$dir/err" || status=$?
    check "--listen $address" 1 "$status"
    grep -q -- "$address" "$dir/err" || fail "--listen $address: $(<"$dir/err")"
done

[[ ! -e $dir/runtime ]] || fail "something started a worker"
