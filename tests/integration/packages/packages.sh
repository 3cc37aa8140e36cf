#!/usr/bin/env bash
# packages.sh root|user: packages in sandboxes, what is kept of them, who shares it, and what hostile ones can do.
source "$(dirname "$0")/world.sh"
who=$1
# As root all of it. For an ordinary user once more what has to do with whom the worker is: installs, what a program and an
# archive can do to them, who waits for one, and what a worker leaves that dies. What the worker decides is the same.
all() { [[ $who == root ]]; }
as=()
bins=$bin
mkdir "$dir/mine"
if [[ $who == user ]]; then
    bins=$(user_bin)
    as=(setpriv "--reuid=$user_id" "--regid=$user_id" --clear-groups --inh-caps=-all env -u XDG_CONFIG_HOME)
    chown "$user_id:$user_id" "$dir/mine"
fi
export HOME=$dir/mine AISBX_RUNTIME_DIR=$dir/mine
socket=unix:$dir/mine/w.sock
tcp=127.0.0.1:$(free_port)

# start NAME ARGS...: a worker with state of that name; sets $worker_pid
start() {
    local name=$1 ready=$dir/ready.$RANDOM line=
    shift
    mkfifo "$ready"
    chmod 666 "$ready"
    "${as[@]}" "$bins/aisbx-worker" --state-dir "$dir/mine/$name" --ready-fd 9 --listen "$socket" \
        --config "$dir/config.yaml" --drain-grace 1s "$@" 9>"$ready" 2>>"$dir/worker.log" &
    worker_pid=$!
    pids+=("$worker_pid")
    read -r line <"$ready" || true
    [[ $line == READY* ]] || fail "worker: ${line:-ended}; $(tail -n 5 "$dir/worker.log")"
}
stop() {
    kill "${1:--TERM}" "$worker_pid"
    wait "$worker_pid" || true
}
aisbx() { "${as[@]}" "$bins/aisbx" --address "$socket" "$@"; }
# begin ARGS...: aisbx run ARGS in the background; sets $begun to itself, not to a shell around it, so that it can be killed.
begin() {
    "${as[@]}" "$bins/aisbx" --address "$socket" run --no-workspace "$@" 2>"$dir/err.begun" &
    begun=$!
}
# ran WANT ARGS...: aisbx run ARGS prints WANT as its last line.
ran() {
    local want=$1 got
    shift
    got=$(aisbx run --no-workspace "$@" 2>"$dir/err") || fail "run $*: status $?; $got; $(tail -n 5 "$dir/err")"
    [[ ${got##*$'\n'} == "$want" ]] || fail "run $*: $got; $(tail -n 5 "$dir/err")"
}
# refused TEXT ARGS...: aisbx run ARGS fails and says TEXT.
refused() {
    local text=$1
    shift
    ! aisbx run --no-workspace "$@" >"$dir/out" 2>"$dir/err" || fail "run $*: went through: $(<"$dir/out")"
    grep -qF -e "$text" "$dir/err" || fail "run $*: no '$text' in: $(<"$dir/err")"
}
wait_for() {
    local i
    for ((i = 0; i < 600; i++)); do eval "$1" && return || sleep 0.05; done
    fail "waited in vain: $1; $(tail -n 5 "$dir/worker.log")"
}
left() { find "$dir/mine/$1/packages" -mindepth 1 -maxdepth 1 -name "$2" | wc -l; }
say() { echo "ok      $who: $*"; }

start one --listen "ipv4:$tcp"

ran 43 -p py --packages upper python3 -c 'import upper; print(upper.answer)'
[[ $(asked /files/) -eq 2 ]] || fail "asked: $(<"$dir/registry/requests")"
forget_asked
ran "from the command line" -p py --packages upper --network none tiny-say
ran 43 -p py --packages pip:upper,upper python3 -c 'import upper; print(upper.answer)'
[[ ! -s $dir/registry/requests ]] || fail "asked again: $(<"$dir/registry/requests")"
say "pip packages with what they need; kept for the next, which may be without a network"

aisbx run --json --no-workspace -p py --packages upper true >"$dir/out"
python3 - "$dir/out" <<'PY' || fail "$(<"$dir/out")"
import json, sys
(it,) = json.load(open(sys.argv[1]))["sandbox"]["packages"]
assert it["manager"] == "pip" and it["requested"] == ["upper"] and it["cached"] is True, it
assert it["installed"] == ["tiny==0.2", "upper==1.0"] and int(it["install_ms"]) > 0, it
PY
if [[ $who == root ]]; then # an ordinary user's sandboxes have the one id there is
    aisbx run --no-workspace -p py --packages upper --require uid,disk,rootfs,landlock true || fail "the floor"
fi
say "the reply says what is installed and that it was before"

if all; then
    ran 41 -p py --packages 'tiny>=0.1,<0.2' python3 -c 'import tiny; print(tiny.answer)'
    ran 41 -p py --packages tiny==0.1 -- env PYTHONPATH=/elsewhere:/packages python3 -c 'import tiny; print(tiny.answer)'
    say "versions"
fi

if [[ -x /usr/bin/npm ]]; then
    forget_asked
    code="echo 'import t from \"@scope/tool\"; console.log(t)' >x.mjs && node x.mjs"
    ran 43 -p js --packages '@scope/tool@^2' sh -c "cd /tmp && $code"
    [[ $(asked tgz) -eq 2 ]] || fail "asked: $(<"$dir/registry/requests")"
    forget_asked
    ran 43 -p js --network none --packages '@scope/tool@^2' node -p 'require("@scope/tool")'
    ran "from the command line" -p js --packages '@scope/tool@^2' tool-say
    ran 42 -p py --packages 'npm:tiny,upper' sh -c 'python3 -c "import upper" && node -p "require(\"tiny\")"'
    [[ $(asked tool) -eq 0 ]] || fail "asked again: $(<"$dir/registry/requests")"
    ran false -p js --packages scripted node -p 'require("scripted")'
    ran true -p code --packages npm:scripted node -p 'require("scripted")'
    ran 1 -p js --packages climber node -p 'require("climber")'
    ran no -p js --packages climber sh -c 'ls /tmp/climbed /node_modules/climber/passwd 2>/dev/null || echo no'
    say "npm packages for require and import; scripts run only where the profile says so"
fi

if all; then
    refused 'network: {enabled: true, allow: ["registry.test:8080", "10.99.0.1:8080"]}, in it' -p closed --packages pip:tiny true
    refused 'allow: ["registry.test:8080", "10.99.0.1:8080"]}, beside' -p narrow --packages tiny true
    refused 'is not a package of pip by its name' -p py --packages 'git+https://registry.test/x' true
    refused 'is not a package of pip by its name' -p py --packages './x.whl' true
    refused 'is not a package of pip by its name' -p py --packages '--index-url=http://other.test' true
    refused 'pip:tiny or npm:tiny' -p closed --packages tiny true
    refused 'more than 64 packages' -p py --packages "$(seq -s, -f 'p%g' 65)" true
    refused 'No matching distribution found for nothing' -p py --packages nothing true
    refused 'No matching distribution found for source' -p py --packages source true
    refused 'egress policy refused other.test:8080' -p py --packages elsewhere true
    refused 'at /packages, where the mount' -p py --packages tiny --mount "$dir/registry:/packages" true
    [[ $(left one '*.new') -eq 0 ]] || fail "left: $(ls "$dir/mine/one/packages")"
    say "refusals say what is wrong and which lines of the profile would allow it"
fi

# What a program can do to the packages it is given.
sums() { (cd "$dir/mine/one/packages" && find . -type f -path '*/tree/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum); }
before=$(sums)
cat >"$dir/attack.py" <<'PY'
import ctypes, os, sys
done = []
def attempt(name, what):
    try:
        what()
        done.append(name)
    except (OSError, ValueError):
        pass
top = "/packages"
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)
attempt("write", lambda: open(f"{top}/tiny.py", "w"))
attempt("append", lambda: open(f"{top}/tiny.py", "a"))
attempt("create", lambda: open(f"{top}/evil.py", "w"))
attempt("pyc", lambda: open(f"{top}/__pycache__/tiny.cpython-311.pyc", "r+b"))
attempt("mkdir", lambda: os.mkdir(f"{top}/evil"))
attempt("unlink", lambda: os.unlink(f"{top}/tiny.py"))
attempt("rename", lambda: os.rename(f"{top}/tiny.py", f"{top}/x.py"))
attempt("replace", lambda: (open("/tmp/x", "w").close(), os.rename("/tmp/x", f"{top}/tiny.py")))
attempt("chmod", lambda: os.chmod(f"{top}/tiny.py", 0o666))
attempt("chown", lambda: os.chown(f"{top}/tiny.py", os.getuid(), os.getgid()))
attempt("link", lambda: os.link(f"{top}/tiny.py", f"{top}/y.py"))
attempt("link out", lambda: os.link(f"{top}/tiny.py", "/tmp/y.py"))
attempt("symlink", lambda: os.symlink("/etc", f"{top}/etc"))
attempt("utime", lambda: os.utime(f"{top}/tiny.py"))
attempt("xattr", lambda: os.setxattr(f"{top}/tiny.py", "user.x", b"1"))
attempt("truncate", lambda: os.truncate(f"{top}/tiny.py", 0))
attempt("self/root", lambda: open(f"/proc/self/root{top}/tiny.py", "w"))
fd = os.open(f"{top}/tiny.py", os.O_RDONLY)
attempt("self/fd", lambda: open(f"/proc/self/fd/{fd}", "w"))
attempt("fchmod", lambda: os.fchmod(fd, 0o666))
attempt("init", lambda: open(f"/proc/1/root{top}/tiny.py", "w"))
attempt("remount", lambda: call("mount", None, top.encode(), None, 32 | 4096, None))
attempt("umount", lambda: call("umount2", top.encode(), 2))
attempt("unshare", lambda: call("unshare", 0x10000000 | 0x20000))
attempt("above", lambda: open(f"{top}/../../meta"))
print("did", done)
PY
chmod 644 "$dir/attack.py"
ran "did []" -p py --packages upper --mount "$dir/attack.py:/tmp/attack.py" python3 /tmp/attack.py
[[ $(sums) == "$before" ]] || fail "what is kept has changed"
ran 42 -p py --packages upper python3 -c 'import tiny; print(tiny.answer)'
say "a program cannot change what the next one gets"

refused 'pip cannot install climber' -p py --packages climber true
[[ ! -e /tmp/climbed && ! -e $dir/mine/one/packages/climbed ]] || fail "a wheel climbed out"
ran file -p py --packages linker python3 -c 'import os; print("link" if os.path.islink("/packages/linked") else "file")'
[[ $(find "$dir/mine/one/packages" -type l -path '*linked*' | wc -l) -eq 0 ]] || fail "a link of a wheel"
say "hostile archives stay within"

if all; then
    "${as[@]}" "$bins/aisbx-security" --address "$socket" keys create --tenant a >"$dir/a.key"
    "${as[@]}" "$bins/aisbx-security" --address "$socket" keys create --tenant b >"$dir/b.key"
    for tenant in a b a b; do
        AISBX_API_KEY=$(<"$dir/$tenant.key") "${as[@]}" "$bins/aisbx" --address "ipv4:$tcp" run --no-workspace -p py \
            --packages tiny==0.1 true 2>"$dir/err" || fail "tenant $tenant: $(<"$dir/err")"
        asked tiny-0.1 >>"$dir/counts"
    done
    forget_asked
    [[ $(uniq "$dir/counts" | wc -l) -eq 2 ]] || fail "tenants: $(tr '\n' ' ' <"$dir/counts")"
    [[ $(grep -l '^tenant a$' "$dir"/mine/one/packages/*/meta | wc -l) -eq 1 ]] || fail "entries of tenant a"
    [[ $(grep -l '^tenant b$' "$dir"/mine/one/packages/*/meta | wc -l) -eq 1 ]] || fail "entries of tenant b"
    say "two tenants share nothing"

    as_tenant() { AISBX_API_KEY=$(<"$dir/$1.key") "${as[@]}" "$bins/aisbx" --address "ipv4:$tcp" "${@:2}"; }
    [[ $(as_tenant b packages list --json | grep -o '"tenant":"[^"]*"' | sort -u) == '"tenant":"b"' ]] || fail "list: $(as_tenant b packages list)"
    of_a=$(as_tenant a packages list --json | grep -o 'pk_[a-z2-7]\{26\}')
    ! as_tenant b packages prune "$of_a" 2>"$dir/err" || fail "b forgets what is of a"
    grep -q "no packages $of_a" "$dir/err" || fail "prune: $(<"$dir/err")"
    as_tenant b packages prune >"$dir/out"
    grep -q '^forgot 1, freed' "$dir/out" || fail "prune: $(<"$dir/out")"
    [[ $(as_tenant a packages list --json) == *"$of_a"* && $(as_tenant b packages list --json) == "[]" ]] || fail "prune"
    aisbx packages list | grep -q 'a  *pip' || fail "an admin sees all: $(aisbx packages list)"
    [[ $(aisbx packages prune --json "${of_a:0:10}") == *'"deleted":1'* ]] || fail "prune by a beginning"
    wait_for '[[ $(left one "*.old") -eq 0 ]]'
    say "packages list and prune, by tenant"

    "${as[@]}" /usr/bin/python3 "$repo/tests/integration/packages/gateway.py" "$bins/aisbx-mcp" "$socket" "$(free_port)" ||
        fail "gateway: see above; $(tail -n 3 "$dir/worker.log")"
    say "by MCP with progress, and by REST"

    forget_asked
    ran 42 -p unkept --packages tiny python3 -c 'import tiny; print(tiny.answer)'
    ran 42 -p unkept --packages tiny python3 -c 'import tiny; print(tiny.answer)'
    [[ $(asked /files/tiny) -eq 2 ]] || fail "keep: false: $(<"$dir/registry/requests")"
    forget_asked
    ran 42 -p short --packages tiny python3 -c 'import tiny; print(tiny.answer)'
    sleep 1.5
    ran 42 -p short --packages tiny python3 -c 'import tiny; print(tiny.answer)'
    [[ $(asked /files/tiny) -eq 2 ]] || fail "keep_for: $(<"$dir/registry/requests")"
    say "keep and keep_for"
fi

id=$(aisbx create --no-workspace -p py)
aisbx exec -e "PIP_INDEX_URL=$url/simple" -e PIP_TRUSTED_HOST=registry.test "$id" \
    pip3 install -q --target /workspace/.packages tiny 2>"$dir/err" || fail "by hand: $(<"$dir/err")"
[[ $(aisbx exec -e PYTHONPATH=/workspace/.packages "$id" python3 -c 'import tiny; print(tiny.answer)') == 42 ]] || fail "by hand"
aisbx destroy "$id" >/dev/null
say "a program of a sandbox can install for itself"

# Two that ask for the same at once share an install; one that goes away does not end it for the other.
forget_asked
begin -p slow --packages tiny true
first=$begun
wait_for '[[ $(asked /slow/simple) -gt 0 ]]'
aisbx run --no-workspace -p slow --packages tiny python3 -c 'import tiny; print(tiny.answer)' >"$dir/out.2" 2>"$dir/err.2" &
second=$!
wait_for '[[ $(aisbx list --json | grep -o "\"starting\"" | wc -l) -eq 2 ]]'
! aisbx list --json | grep -q aisbx/installs || fail "the sandbox that installs is listed"
kill "$first"
touch "$dir/registry/go"
wait "$second" || fail "second: $(<"$dir/err.2")"
[[ $(<"$dir/out.2") == 42 && $(asked /files/tiny) -eq 1 ]] || fail "shared: $(<"$dir/out.2"); $(<"$dir/registry/requests")"
wait "$first" || true
say "one install for all that wait for it"

rm "$dir/registry/go"
forget_asked
begin -p slow --packages upper true
wait_for '[[ $(asked /slow/simple/upper) -gt 0 ]]'
kill "$begun"
wait "$begun" || true
wait_for '[[ $(left one "*.new") -eq 0 ]]'
say "an install that nobody waits for ends"

if all; then
    refused 'pip: ' -p hasty --packages upper true
    grep -q 'timed out after 3' "$dir/err" || fail "timeout: $(<"$dir/err")"
    say "an install that takes too long ends"
fi

forget_asked
begin -p slow --packages upper true
wait_for '[[ $(asked /slow/simple/upper) -gt 0 ]]'
stop
! wait "$begun" || fail "went through without a worker"
start one --listen "ipv4:$tcp"
wait_for '[[ $(left one "*.new") -eq 0 && $(left one "*.old") -eq 0 ]]'
say "a worker that ends in order ends its installs"

[[ $("${as[@]}" "$bins/aisbx-security" --address "$socket" audit query --limit 1000 --json | grep -c '"packages.install"') -gt 3 ]] ||
    fail "audit: $("${as[@]}" "$bins/aisbx-security" --address "$socket" audit query | tail -n 3)"
"${as[@]}" "$bins/aisbx-security" --address "$socket" audit query --limit 1000 --json | grep packages.install | grep -q 'upper==1.0' ||
    fail "the audit does not say what was installed"
say "installs are in the audit"

# The worker dies in the middle of an install.
ran 43 -p py --packages upper python3 -c 'import upper; print(upper.answer)'
forget_asked
begin -p slow --packages upper true
wait_for '[[ $(asked /slow/simple/upper) -gt 0 ]]'
[[ $(left one '*.new') -eq 1 ]] || fail "no install under way"
n=$(left one 'pk_*')
stop -KILL
wait "$begun" || true
[[ $(left one '*.new') -eq 1 ]] || fail "gone already?"
start one
wait_for '[[ $(left one "*.new") -eq 0 && $(left one "*.old") -eq 0 ]]'
[[ $(left one 'pk_*') -eq $((n - 1)) ]] || fail "entries: $(ls "$dir/mine/one/packages")"
forget_asked
ran 43 -p py --packages upper python3 -c 'import upper; print(upper.answer)'
[[ ! -s $dir/registry/requests ]] || fail "asked again after a restart: $(<"$dir/registry/requests")"
touch "$dir/registry/go"
ran 43 -p slow --packages upper python3 -c 'import upper; print(upper.answer)'
say "a worker that dies leaves no half install, and what was whole is kept"
stop

all || exit 0
start two --packages-max 1M
ran ok -p py --packages bigger python3 -c 'import bigger; print("ok")'
ran ok -p py --packages bulky python3 -c 'import bulky; print("ok")'
wait_for '[[ $(left two "pk_*") -eq 1 ]]'
forget_asked
ran ok -p py --packages bulky python3 -c 'import bulky; print("ok")'
[[ ! -s $dir/registry/requests ]] || fail "the newer one was removed"
ran ok -p py --packages bigger python3 -c 'import bigger; print("ok")'
[[ $(asked /files/bigger) -eq 1 ]] || fail "the older one was kept"
say "what was not used longest is removed beyond the bound"
first=$(aisbx create --no-workspace -p py --packages bigger)
second=$(aisbx create --no-workspace -p py --packages bulky)
refused 'more than twice --packages-max' -p py --packages bigger,bulky true
ran ok -p py --packages bulky python3 -c 'import bulky; print("ok")'
aisbx destroy "$first" "$second" >/dev/null
ran ok -p py --packages bigger,bulky python3 -c 'import bigger, bulky; print("ok")'
say "what is in use is bounded, too"
stop
