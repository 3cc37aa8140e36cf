#!/usr/bin/env bash
# commit: changes of a copy-on-write workspace, made in its directory; and diff --tar.
source "$(dirname "$0")/common.sh"
work

new() { aisbx create --profile python-dev "$@"; }
own() { [[ $who == root || $(id -u) -ne 0 ]] || chown -hR "$user_id:$user_id" "$@"; }
# Names, kinds, modes, where links lead, and contents: without times of directories.
look() { (cd "$1" && find . -mindepth 1 -printf '%p %y %m %l\n' | sort && find . -type f -print0 | sort -z | xargs -0r md5sum); }
owners() { find "$1" -printf '%U\n' | sort -u | xargs; }
inside() { aisbx exec "$1" sh -c 'find . -mindepth 1 -printf "%p %y %m %l\n" | sort && find . -type f -print0 | sort -z | xargs -0r md5sum'; }
me=$([[ $who == user && $(id -u) -eq 0 ]] && echo "$user_id" || id -u)

tree() {
    rm -rf "$1"
    mkdir -p "$1"/{sub,dir/deep,keep,gone/x/y}
    echo one >"$1/a"
    echo two >"$1/sub/b"
    echo old >"$1/dir/old"
    echo o >"$1/gone/x/y/z"
    echo file >"$1/turns"
    mkdir "$1/folds"
    echo in >"$1/folds/in"
    ln -s sub/b "$1/link"
    chmod 640 "$1/a"
    own "$1"
}

# ---- all kinds of changes ----
tree src
sb=$(new -w src:overlay)
check_text "nothing to do" "" "$(aisbx commit "$sb" 2>"$dir/err")"
check_has "says so" "0 made, 0 changed, 0 removed in $PWD/src" "$(<"$dir/err")"
# shellcheck disable=SC2016
aisbx exec "$sb" sh -c 'echo more >>a; chmod 755 sub/b; rm -r gone; rm -r dir; mkdir dir; echo 1 >dir/1
    rm turns; mkdir turns; echo t >turns/t; rm -r folds; echo f >folds; ln -sf a link; ln -s /etc/passwd out
    mkdir -p new/er; echo n >new/er/n; chmod 500 new/er; printf x >"$(printf "new\nline")"; printf y >"$(printf "\377\376")"
    ln -s "$(printf "to\377")" raw; truncate -s 3M holes; printf end >>holes; echo s >.wh-is-fine; ln a second; touch -d 2001-02-03 keep/old'
before=$(look src)
aisbx commit --dry-run "$sb" >"$dir/would" 2>"$dir/err"
check_text "dry run" "$before" "$(look src)"
check_has "dry run" "would be: 13 made, 5 changed, 3 removed" "$(<"$dir/err")"
aisbx commit "$sb" >"$dir/did" 2>"$dir/err"
check_text "the same as it would" "$(sort <"$dir/would")" "$(sort <"$dir/did")"
check_has "a link says where" "A out -> /etc/passwd" "$(<"$dir/did")"
check_has "summary" "aisbx: 13 made, 5 changed, 3 removed in $PWD/src" "$(<"$dir/err")"
check_text "as it is inside" "$(inside "$sb")" "$(look src)"
check_text "whose" "$me" "$(owners src)"
check_text "its time" 2001-02-03 "$(date -d "@$(stat -c %Y src/keep/old)" +%F)"
check_text "its holes" 1 "$(($(stat -c %b src/holes) < 2000))"
check_text "nothing left over" '' "$(find src -name '.aisbx-commit*')"
check_text "again" "" "$(aisbx commit "$(new -w src:overlay)" 2>/dev/null)"

# ---- by path ----
chmod 700 src/new/er
tree src
sb=$(new -w src:overlay)
aisbx exec "$sb" sh -c 'echo 2 >a; mkdir -p n/m; echo x >n/m/x; echo y >n/y; rm -r gone; echo b >sub/b'
check_text "of some" "$(printf 'A n\nA n/m\nA n/m/x\nM sub/b')" "$(aisbx commit "$sb" n/m/ /workspace/sub 2>/dev/null | sort)"
check_text "of some" "$(printf 'one\nx')" "$(cat src/a src/n/m/x)"
[[ -e src/gone/x/y/z && ! -e src/n/y ]] || fail "more than was named"
check_status 1 commit "$sb" nowhere
check_has "unfound" "nothing has changed at nowhere" "$(<"$dir/err")"
check_status 2 commit "$sb" ../etc
check_has "outside" "not a path below /workspace" "$(<"$dir/err")"

# ---- JSON ----
aisbx commit --json "$sb" 2>"$dir/err" | python3 -c 'import json, sys
reply = json.load(sys.stdin)
assert reply["directory"].endswith("/src") and not reply["dry_run"], reply
assert (reply["made"], reply["changed"], reply["removed"], reply["refused"]) == (1, 1, 1, 0), reply
kinds = {c["file"]["path"]: c["kind"] for c in reply["changes"]}
assert kinds == {"/workspace/a": "changed", "/workspace/n/y": "created", "/workspace/gone": "removed"}, kinds
assert all(c["error"] == "" for c in reply["changes"])' || fail "JSON"

# ---- hostile: what is inside ----
tree src
cp /bin/true src/suid-here
mkdir src/sg
own src
chmod 6755 src/suid-here
chmod 2775 src/sg
sb=$(new -w src:overlay) # where no call makes such a file, but the host's can be moved
aisbx exec "$sb" sh -c 'mkfifo pipe; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")"
    mv suid-here suid; mkdir sg/in; echo fine >fine'
check_status 1 commit "$sb"
check_has "a FIFO" "refused pipe: is neither a file, a directory nor a link" "$(<"$dir/err")"
check_has "a socket" "refused sock: is neither" "$(<"$dir/err")"
check_text "set-id" "755 755" "$(stat -c %a src/suid src/sg/in | xargs)"
check_text "the rest" fine "$(cat src/fine)"
[[ ! -e src/pipe && ! -e src/sock ]] || fail "a FIFO or a socket was made"

# Links of the sandbox lead nowhere while files are written: what is below one was written inside, by its real path.
tree src
mkdir victim
own victim
sb=$(new -w src:overlay)
aisbx exec "$sb" sh -c "rm -r dir; ln -s $PWD/victim dir; rm a; ln -s $PWD/victim/a a"
check_status 0 commit "$sb"
check_text "made as links" "$PWD/victim $PWD/victim/a" "$(readlink src/dir src/a | xargs)"
check_text "nothing went through" '' "$(ls victim)"

# Deep trees, many files.
deep=$(new -w src:overlay)
# shellcheck disable=SC2016
aisbx exec "$deep" sh -c 'p=.; for i in $(seq 120); do p=$p/d; done; mkdir -p $p; echo deep >$p/f; mkdir many; cd many; seq 800 | xargs touch'
check_status 0 commit "$deep"
check_text "deep" deep "$(cat "src/$(printf 'd/%.0s' $(seq 120))f")"
check_text "many" 800 "$(ls src/many | wc -l)"
aisbx exec "$deep" sh -c 'rm -r d many'
check_status 0 commit "$deep"
[[ ! -e src/d && ! -e src/many ]] || fail "what was made before has not gone"

# A file of many names is not multiplied without end.
links=$(new -w src:overlay --disk 4m)
# shellcheck disable=SC2016
aisbx exec "$links" sh -c 'head -c 3m /dev/zero | tr "\0" x >big; for i in 1 2 3 4 5; do ln big big$i; done'
check_status 1 commit "$links"
check_has "bounded" "is beyond what the sandbox may write in all" "$(<"$dir/err")"
check_text "bounded" 1 "$(($(du -sm src | cut -f1) < 6))"
# And one that fills the space is whole.
full=$(new -w src:overlay --disk 2m)
aisbx exec "$full" sh -c 'cat /dev/zero 2>/dev/null | tr "\0" y >full 2>/dev/null' || true
check_status 0 commit "$full"
check_text "full" "$(aisbx exec "$full" md5sum full)" "$(cd src && md5sum full)"

# ---- hostile, or merely changed: what is on the host ----
tree src
sb=$(new -w src:overlay)
aisbx exec "$sb" sh -c 'echo through >sub/b; echo new >sub/new; echo a >a; rm dir/old; echo l >keep/l; mkdir fresh; echo x >fresh/x; echo x >taken'
rm -r src/sub src/dir victim
mkdir -p victim/d src/taken
echo untouched | tee victim/b victim/old >victim/d/b
own victim src/taken
(cd src && ln -s ../victim sub && ln -s ../victim dir && ln -sf ../victim/b a && rmdir keep && ln -s ../victim keep)
own src
check_status 0 commit "$sb"
check_text "nothing went through" "untouched untouched untouched" "$(cat victim/b victim/old victim/d/b | xargs)"
check_text "nothing went through" "b d old" "$(ls victim | xargs)"
check_text "links gave way" "directory directory directory regular file" "$(stat -c %F src/sub src/dir src/keep src/a | xargs)"
check_text "all is made" "through new a l x x" "$(cat src/sub/b src/sub/new src/a src/keep/l src/fresh/x src/taken | xargs)"

# The directory itself has become a link, or is gone.
mv src moved
ln -s moved src
check_status 1 commit "$sb"
check_has "a link" "a link is on its way now" "$(<"$dir/err")"
rm src
check_status 1 commit "$sb"
check_has "gone" "No such file or directory" "$(<"$dir/err")"

# ---- rights are the caller's ----
if [[ $who == user && $(id -u) -eq 0 ]]; then
    tree src
    mkdir src/closed
    chmod 777 src/closed
    sb=$(new -w src:overlay)
    aisbx exec "$sb" sh -c 'echo x >new; echo y >keep/y' # the directory is the job's inside
    chown 0:0 src src/keep
    chmod 755 src src/keep
    check_status 1 commit "$sb"
    check_has "the caller may not" "refused new: make a file beside it: Permission denied" "$(<"$dir/err")"
    [[ ! -e src/new && ! -e src/keep/y ]] || fail "with whose rights?"
fi

# ---- forks and snapshots: all since the directory ----
tree src
sb=$(new -w src:overlay)
aisbx exec "$sb" sh -c 'echo 1 >first; rm -r gone; mkdir -p x/y; echo 1 >x/y/1'
fork=$(aisbx fork "$sb")
aisbx exec "$fork" sh -c 'echo 2 >second; rm a; echo 2 >x/2; rm -r dir; mkdir dir'
grand=$(aisbx fork "$fork")
aisbx exec "$grand" sh -c 'rm first; rm -r x/y; echo g >gone'
check_status 0 commit "$grand"
check_text "all of them" "$(inside "$grand")" "$(look src)"

# ---- what has no directory ----
plain=$(new --no-workspace)
check_status 1 commit "$plain"
check_has "next step" "no directory copy-on-write (--workspace DIR:overlay); aisbx cp brings" "$(<"$dir/err")"
check_status 1 commit sb_aaaaaaaaaaaaaaaaaaaaaaaaaa

# ---- diff --tar ----
tree src
cp /bin/true src/suid-here
own src
chmod 4755 src/suid-here
rm -rf applied
cp -a src applied
sb=$(new -w src:overlay)
# shellcheck disable=SC2016
aisbx exec "$sb" sh -c 'echo more >>a; rm -r gone; rm -r dir; mkdir dir; echo 1 >dir/1; ln -sf a link; mkdir -p new; printf x >"new/$(printf "new\nline")"
    printf y >"new/$(printf "\377")"; echo h >new/h; ln new/h new/i; truncate -s 2M new/holes; printf end >>new/holes; mkfifo new/pipe; mv suid-here new/suid
    touch new/empty; truncate -s 100k new/hole-alone; echo t >/tmp/t'
aisbx diff --tar "$sb" >"$dir/x.tar"
check_text "as GNU tar reads it" "tmp/t workspace/.wh.gone workspace/.wh.suid-here workspace/a workspace/dir/.wh.deep workspace/dir/.wh.old workspace/dir/1 workspace/link workspace/new" \
    "$(tar -tf "$dir/x.tar" | grep -v new/ | sort | xargs)"
# OCI's way to apply it, twice.
apply() {
    tar -tf "$dir/x.tar" --quoting-style=literal | grep '\.wh\.' | while read -r mark; do
        mark=${mark#workspace/}
        rm -rf "applied/$(dirname "$mark")/$(basename "${mark/.wh./}")"
    done
    tar -xf "$dir/x.tar" -C applied --strip-components=1 --exclude='*.wh.*' --exclude='tmp/*' workspace
}
apply
once=$(look applied)
check_text "applied" "$(inside "$sb" | sed '/suid f 4755/s/4755/755/')" "$once"
check_text "two names of one" 2 "$(stat -c %h applied/new/i)"
check_text "holes" 1 "$(($(stat -c %b applied/new/holes) < 1000))"
apply
check_text "twice" "$once" "$(look applied)"
check_text "nothing set-id" '' "$(tar -tvf "$dir/x.tar" | awk '$1 ~ /s/')"
aisbx exec "$sb" sh -c 'echo x >.wh.a'
check_status 1 diff --tar "$sb"
check_has "a reserved name" "a name begins with .wh., which means something else" "$(<"$dir/err")"
check_status 0 commit "$sb" .wh.a
check_text "commit takes it" x "$(cat src/.wh.a && test -e src/a)"
check_status 2 diff --tar --json "$sb"
