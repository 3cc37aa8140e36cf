#!/usr/bin/env bash
# cp and ls: files and trees into a sandbox and out of it.
source "$(dirname "$0")/common.sh"
work
id=$(aisbx create --profile python-dev --no-workspace)
umask 022
mkdir -p tree/sub/empty
head -c 300000 /dev/urandom >tree/data
printf hello >tree/sub/hello
chmod 755 tree/sub/hello
ln -s /etc/passwd tree/link
chmod -R go+rX .

# ---- one file ----
aisbx cp tree/data "$id:/tmp/data"
check_text "into" "$(sha256sum <tree/data)" "$(aisbx exec "$id" sha256sum </dev/null /tmp/data | sed 's|/tmp/data|-|')"
aisbx cp "${id:0:12}:/tmp/data" back
cmp tree/data back || fail "back"
aisbx cp tree/sub/hello "$id:"
check_text "into a directory, mode kept" "/workspace/hello -rwxr-xr-x" "$(aisbx exec "$id" stat -c '%n %A' /workspace/hello)"
check_text "standard input and output" abc "$(printf abc | aisbx cp - "$id:x" && aisbx cp "$id:x" -)"
check_text "json" '{"files":1,"bytes":3,"skipped":0}' "$(aisbx cp --json "$id:/workspace/x" x.txt)"
check_text "json wrote" abc "$(<x.txt)"

# ---- trees ----
check_status 1 cp tree "$id:/tmp/tree"
check_has "a tree" "--recursive" "$(<"$dir/err")"
check_status 0 cp -r --json tree "$id:/tmp/tree"
check_text "tree in" '{"files":2,"bytes":300005,"skipped":1}' "$(<"$dir/out")"
check_has "links are left out" "left out tree/link" "$(<"$dir/err")"
aisbx exec "$id" sh -c 'ln -s /etc/passwd /tmp/tree/evil; mkfifo /tmp/tree/fifo'
check_status 0 cp -r "$id:/tmp/tree" out
cmp tree/data out/data || fail "tree out"
check_text "tree out" "$(printf 'data\nsub\nsub/empty\nsub/hello')" "$(cd out && find . -mindepth 1 -printf '%P\n' | sort)"
check_has "links are left out" "left out /tmp/tree/evil" "$(<"$dir/err")"

# A tree is one archive: names of all kinds, many files, modes and times; second names; nothing through a link here.
mkdir -p many/deep "many/$(printf 'n%.0s' {1..200})"
for i in {1..400}; do echo "$i" >"many/deep/f $i"; done
printf x >"many/$(printf 'n%.0s' {1..200})/$(printf 'm%.0s' {1..200})"
printf x >many/$'ä "\'\n'
printf x >"many/$(printf 'raw\xff')"
: >many/empty
touch -d @86400.5 many/empty
truncate -s 3M many/holes
printf end >>many/holes
chmod -R go+rX many
chmod 754 many/empty
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
check_status 0 cp -r --json many "$id:/tmp/many"
check_text "many in" '{"files":405,"bytes":3147226,"skipped":0}' "$(<"$dir/out")"
check_text "mode and time in" "754 86400.500000000" "$(aisbx exec "$id" stat -c '%a %.9Y' /tmp/many/empty)"
aisbx exec "$id" sh -c 'cd /tmp/many; ln empty second; rm -r deep/f\ 399'
check_status 0 cp -r --json "$id:/tmp/many" many-out
check_has "many out" '{"files":405,"bytes":[0-9]*,"skipped":0}' "$(<"$dir/out")"
rm "many/deep/f 399"
check_text "the same" "$(sums many)" "$(sums many-out | grep -av '/second$')"
check_text "mode and time out" "754 86400.500000000" "$(stat -c '%a %.9Y' many-out/empty)"
check_text "second names" "$(stat -c %i many-out/empty)" "$(stat -c %i many-out/second)"
check_status 0 cp -r "$id:/tmp/many" many-out
check_text "into one that is there: by its own name" "$(sums many)" "$(sums many-out/many | grep -av '/second$')"
rm -r many-out/many/deep
mkdir elsewhere
ln -s "$PWD/elsewhere" many-out/many/deep
check_status 1 cp -r "$id:/tmp/many" many-out
check_text "nothing through a link" "" "$(ls elsewhere; find many-out -name '.aisbx-*')"
check_status 1 cp -r many "$id:/usr/many"
aisbx exec "$id" sh -c 'rm -r /tmp/many'

# ---- ls ----
check_text "ls" "$(printf '/workspace/hello\n/workspace/x')" "$(aisbx ls -q "$id")"
check_has "table" "regular  *0755  *5B*  *.* /workspace/hello" "$(aisbx ls "$id:")"
check_has "recursive" "/tmp/tree/sub/hello" "$(aisbx ls -r "$id:/tmp")"
check_has "json" '"kind":"fifo"\|"kind":"special"' "$(aisbx ls --json "$id:/tmp/tree")"

# ---- completion ----
# shellcheck disable=SC1090 # generated
source <(aisbx completion bash)
completed() { # WORDS...: what the last of them becomes
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _aisbx
    printf '%s\n' "${COMPREPLY[@]}"
}
check_text "a path inside" "/workspace/hello" "$(completed aisbx cp "$id" : /workspace/h)"
check_text "below /workspace" "$(printf 'hello\nx')" "$(completed aisbx cp "$id" :)"
check_text "deeper, as a destination" "/tmp/tree/sub/hello" "$(completed aisbx cp tree/data "$id" : /tmp/tree/sub/he)"
check_text "a sandbox" "$id:" "$(completed aisbx cp "${id:0:9}")"
check_text "a file here" "tree/data" "$(completed aisbx cp tree/d)"

# ---- archives ----
aisbx exec "$id" sh -c 'mkdir /tmp/into; cd /tmp/tree; ln -s data link; chmod 640 data; rm -f fifo evil'
aisbx cp --tar "$id:/tmp/tree" - >tree.tar
check_text "an archive out" "$(printf 'data\nlink\nsub\nsub/empty\nsub/hello')" "$(tar -tf tree.tar | sort)"
aisbx cp --tar --json - "$id:/tmp/into" <tree.tar >"$dir/out"
check_has "an archive in" '{"files":5,"bytes":[0-9]*,"skipped":0}' "$(<"$dir/out")"
check_text "links and modes" "data 640" "$(aisbx exec "$id" sh -c 'cd /tmp/into; readlink link; stat -c %a data' | tr '\n' ' ' | sed 's/ $//')"
mkdir evil
ln -s /tmp evil/l
tar -cf evil.tar -C evil l
rm evil/l
mkdir evil/l
echo evil >evil/l/evil-link
echo evil >evil-dots
tar -rf evil.tar -C evil l/evil-link
tar -rPf evil.tar -C evil ../evil-dots
aisbx cp --tar - "$id:/tmp/into" <evil.tar 2>"$dir/err"
check_has "why not" "left out l/evil-link: its path leads through a symbolic link" "$(<"$dir/err")"
check_text "nothing comes through a link of an archive" "" "$(aisbx exec "$id" sh -c 'ls /tmp/evil-link 2>/dev/null || true')"
check_text "nothing of an archive leads up" "" "$(aisbx exec "$id" sh -c 'ls /tmp/evil-dots 2>/dev/null || true')"
check_status 2 cp --tar x.txt "$id:/tmp/into"
check_has "a file" "reads and writes -" "$(<"$dir/err")"

# What lies too deep for a list is not hidden by it.
deep=$(printf 'd/%.0s' {1..66})
aisbx exec "$id" sh -c "mkdir -p /tmp/deep/$deep && touch /tmp/deep/${deep}f"
aisbx ls -r -q "$id:/tmp/deep" >"$dir/out" 2>"$dir/err"
check_text "a deep list" 64 "$(wc -l <"$dir/out")"
check_has "a deep list" '64 directories deep.*left out' "$(<"$dir/err")"
aisbx ls -r -q "$id:$(tail -n 1 "$dir/out")" >"$dir/out" 2>"$dir/err"
check_has "the rest of it" '/f$' "$(<"$dir/out")"
check_text "the rest of it" '' "$(<"$dir/err")"
aisbx exec "$id" rm -rf /tmp/deep

# ---- grep, watch ----
aisbx exec "$id" sh -c 'printf "one\nTwo 22\n" >/tmp/into/text'
check_text "grep" "/tmp/into/text:2:Two 22" "$(aisbx grep -i -g '*text' '^two [0-9]{2}$' "$id:/tmp/into")"
check_has "json" '"line":2' "$(aisbx grep --json '22' "$id:/tmp/into")"
check_status 1 grep nothing-like-this "$id:/tmp/into"
check_text "no line" "" "$(<"$dir/out")"
check_status 2 grep '(' "$id"
check_has "a bad pattern" "pattern: .*parenthesis" "$(<"$dir/err")"
mkfifo events
aisbx watch -r "$id:/tmp/into" >events &
pids+=("$!")
exec 7<events
read -r line <&7
check_text "watching" "watching /tmp/into" "$line"
aisbx exec "$id" sh -c ': >/tmp/into/new; rm -r /tmp/into'
seen=$(cat <&7)
check_has "made" "created /tmp/into/new" "$seen"
check_has "gone" "removed /tmp/into\$" "$seen"

# ---- what goes wrong ----
check_status 1 cp "$id:/no" x
check_has "no file" "No such file" "$(<"$dir/err")"
check_status 2 cp a b
check_has "both here" "SANDBOX:PATH" "$(<"$dir/err")"
check_status 1 cp nofile "$id:/tmp/"
check_status 1 cp "$id:/dev/zero" x
check_has "a device" "regular file" "$(<"$dir/err")"
check_text "a copy that fails leaves what was there" abc "$(<x.txt)"
check_status 1 ls "$id:/tmp/data"
aisbx destroy "$id" >/dev/null
