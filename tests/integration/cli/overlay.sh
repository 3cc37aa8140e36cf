#!/usr/bin/env bash
# A directory of the host as copy-on-write workspace: what programs write, and that the host never changes.
source "$(dirname "$0")/common.sh"
work

new() { aisbx create --profile python-dev "$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
own() { [[ $who == root || $(id -u) -ne 0 ]] || chown -hR "$user_id:$user_id" "$@"; }
look() { (cd "$1" && find . -printf '%p %y %m %U %G %s %T@ %l\n' | sort && find . -type f -print0 | sort -z | xargs -0 cat); }

mkdir -p src/sub src/dir/deep
echo one >src/a
echo two >src/sub/b
echo gone >src/gone
echo old >src/dir/old
ln -s sub/b src/link
ln -s /etc/hostname src/out
printf x >"src/$(printf 'new\nline')"
chmod 750 src/a
own src
before=$(look src)

# ---- it is there, and can be written ----
sb=$(new -w src:overlay)
check_text "what the host has" "$(printf 'one\ntwo\ntwo\n750')" "$(aisbx exec "$sb" sh -c 'cat a sub/b link; stat -c %a a')"
check_text "whose" "$(printf 'sandbox sandbox\nsandbox sandbox')" "$(aisbx exec "$sb" stat -c '%U %G' . a)"
check_has "the mount says so" '"mode":"overlay"' "$(aisbx list --json)"
aisbx exec "$sb" sh -c 'echo more >>a; echo new >n; rm gone; rm -r dir; mkdir dir; echo 1 >dir/1; mv sub sub2; ln -sf a link; mkfifo pipe'
check_text "what it is then" "$(printf 'one\nmore\ntwo\nnew\n1')" "$(aisbx exec "$sb" cat a sub2/b n dir/1)"
check_text "the host's is as it was" "$before" "$(look src)"
check_text "diff" "A /workspace/dir/1 A /workspace/n A /workspace/pipe A /workspace/sub2 A /workspace/sub2/b D /workspace/dir/deep D /workspace/dir/old D /workspace/gone D /workspace/sub M /workspace/a M /workspace/link" \
    "$(aisbx diff "$sb" | sort | xargs)"
check_text "what was put back is no change" '' "$(aisbx diff "$(new -w src:overlay)")"
check_text "a run of its own" new "$(aisbx run -p python-dev -w src:overlay sh -c 'echo new >z; cat z')"
[[ ! -e src/z ]] || fail "a run wrote through"

# Written with the same bytes, or touched alone.
same=$(new -w src:overlay)
aisbx exec "$same" sh -c 'echo one >a; touch sub/b'
check_text "same bytes" '' "$(aisbx diff "$same")"

# ---- files of the sandbox's own calls ----
echo put | aisbx cp - "$sb:by-cp"
check_text "cp" put "$(aisbx cp "$sb:by-cp" -)"
check_text "the host's is as it was" "$before" "$(look src)"

# ---- it is bounded ----
check_status 1 run -p python-dev -w src:overlay --disk 1m dd if=/dev/zero of=big bs=64k count=100
check_has "it is full" "no space left: all 1MiB of /workspace" "$(aisbx run --json -p python-dev -w src:overlay --disk 1m dd if=/dev/zero of=big bs=64k count=100 2>/dev/null || true)"

# ---- owners that are nobody inside ----
if [[ $(id -u) -eq 0 ]]; then
    mkdir src2
    for f in written removed replaced; do echo $f >src2/$f; done
    own src2
    chown 4321:4321 src2/*
    foreign=$(new -w src2:overlay)
    check_text "of others" "$(printf 'written\nrefused\nnew')" \
        "$(aisbx exec "$foreign" sh -c 'cat written; rm removed; echo no 2>/dev/null >written || echo refused; echo new >x; mv x replaced; cat replaced' 2>/dev/null)"
    check_text "of others" "D /workspace/removed M /workspace/replaced" "$(aisbx diff "$foreign" | sort | xargs)"
    check_text "the host's is as it was" "$(printf 'removed\nreplaced\nwritten')" "$(cat src2/*)"
fi

# ---- a directory that is not the caller's, or not readable ----
if [[ $who == user && $(id -u) -eq 0 ]]; then
    mkdir -m 700 closed
    check_status 125 run -p python-dev -w closed:overlay true
    check_has "rights of the caller" "Permission denied" "$(<"$dir/err")"
fi

# ---- snapshots, forks, rollback ----
fork=$(aisbx fork "$sb")
check_text "fork" "$(printf 'one\nmore\n1\na')" "$(aisbx exec "$fork" sh -c 'cat a dir/*; readlink link')"
check_text "nothing since the fork" '' "$(aisbx diff "$fork")"
aisbx exec "$fork" sh -c 'echo forked >a; rm n; mkdir sub'
check_text "since the fork" "A /workspace/sub D /workspace/n M /workspace/a" "$(aisbx diff "$fork" | sort | xargs)"
sn=$(aisbx snapshot "$fork")
check_text "what it keeps" "['/tmp', '/workspace']" "$(aisbx snapshots --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["paths"])')"
aisbx exec "$fork" sh -c 'rm -rf ./* && touch only'
check_text "rollback" "$fork" "$(aisbx rollback "$fork" "$sn")"
check_text "is back" "$(printf 'forked\n1')" "$(aisbx exec "$fork" cat a dir/1)"
check_text "the names" "a by-cp dir link new line out pipe sub sub2" "$(aisbx exec "$fork" sh -c 'ls | xargs')"
from=$(new --snapshot "$sn" -w src:overlay)
check_text "from a snapshot" forked "$(aisbx exec "$from" cat a)"
check_status 1 create --profile python-dev --snapshot "$sn"
check_has "takes its directory" "bind that at /workspace, copy-on-write" "$(<"$dir/err")"
mkdir other
own other
check_status 1 create --profile python-dev --snapshot "$sn" -w other:overlay
check_has "no other" "in another directory of the host" "$(<"$dir/err")"
check_text "the host's is as it was" "$before" "$(look src)"

# A snapshot of a workspace of the sandbox's own is covered, as by any directory.
plain=$(new --no-workspace)
aisbx exec "$plain" sh -c 'echo mine >mine; echo t >/tmp/t'
mixed=$(new --snapshot "$(aisbx snapshot "$plain")" -w src:overlay)
check_text "covered" "$(printf 'one\nt')" "$(aisbx exec "$mixed" cat a /tmp/t)"
aisbx exec "$mixed" sh -c 'echo m >m'
check_text "of both" "A /workspace/m" "$(aisbx diff "$mixed")"
check_text "of both" m "$(aisbx exec "$(aisbx fork "$mixed")" sh -c 'test ! -e mine && cat m')"

# ---- what it is not for ----
check_status 125 run -p python-dev --mount "$PWD/src:/data:overlay" true
check_has "elsewhere" "only /workspace can be copy-on-write" "$(<"$dir/err")"
check_status 125 run -p strict -w src:overlay true
check_has "read-only profile" "a mount can only be" "$(<"$dir/err")"
check_status 125 run -p python-dev -w src/a:overlay true
if command -v bwrap >/dev/null; then
    check_status 125 run -p python-dev --driver bwrap -w src:overlay true
    check_has "driver" "take native, or bind it ro" "$(<"$dir/err")"
fi
if [[ $(id -u) -eq 0 ]]; then
    mkdir -p mixed/within
    own mixed
    mount -t tmpfs -o size=64k tmpfs mixed/within
    echo seen >mixed/within/f
    chmod 755 mixed/within
    status=0
    aisbx run -p python-dev -w mixed:overlay sh -c 'test ! -e within/f' 2>"$dir/err" || status=$?
    umount mixed/within
    # Whoever has a user namespace of its own may not uncover what lies below a mount.
    [[ $status == 0 ]] || check_has "another mount within" "another one is mounted within it" "$(<"$dir/err")"
fi
check_text "the host's is as it was" "$before" "$(look src)"
