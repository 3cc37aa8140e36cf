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

# ---- ls ----
check_text "ls" "$(printf '/workspace/hello\n/workspace/x')" "$(aisbx ls -q "$id")"
check_has "table" "regular  *0755  *5B*  *.* /workspace/hello" "$(aisbx ls "$id:")"
check_has "recursive" "/tmp/tree/sub/hello" "$(aisbx ls -r "$id:/tmp")"
check_has "json" '"kind":"fifo"\|"kind":"special"' "$(aisbx ls --json "$id:/tmp/tree")"

# ---- what goes wrong ----
check_status 1 cp "$id:/no" x
check_has "no file" "No such file" "$(<"$dir/err")"
check_status 1 cp a b
check_has "both here" "SANDBOX:PATH" "$(<"$dir/err")"
check_status 1 cp nofile "$id:/tmp/"
check_status 1 cp "$id:/dev/zero" x
check_has "a device" "regular file" "$(<"$dir/err")"
check_text "a copy that fails leaves what was there" abc "$(<x.txt)"
check_status 1 ls "$id:/tmp/data"
aisbx destroy "$id" >/dev/null
