#!/usr/bin/env bash
# code.sh root|user: aisbx code and aisbx contexts.
source "$(dirname "$0")/common.sh"
work

is() { [[ $1 == "$2" ]] || fail "$3: '$1' is not '$2'"; }

is "$(aisbx code -c 'print("out"); 6 * 7')" $'out\n42' "output, then the value"
is "$(aisbx list --quiet)" "" "the sandbox that was made for it is gone"
aisbx code -c '1 / 0' 2>"$dir/err" && fail "an error is no success"
grep -q "ZeroDivisionError: division by zero" "$dir/err" || fail "no traceback: $(<"$dir/err")"

id=$(aisbx create --no-workspace -p python-dev)
aisbx code -s "$id" -c 'x = 41'
is "$(aisbx code -s "$id" -c 'x + 1')" 42 "state stays"
is "$(echo 'console.log(1); [2]' | aisbx code --language node -s "$id")" $'1\n[ 2 ]' "standard input"
aisbx code --language bash -s "$id" -c 'cd /usr; exit 5' && fail "exit 5 is no success"
is "$(aisbx code --language bash -s "$id" -c 'echo $?; pwd')" $'5\n/usr' "bash goes on behind exit"
is "$(aisbx contexts "$id" | awk 'NR > 1 {print $2, $3, $5}' | sort)" $'bash idle 2\nnode idle 1\npython idle 2' "the list"
context=$(aisbx contexts --json "$id" |
    python3 -c 'import json, sys; print(*(c["context_id"] for c in json.load(sys.stdin) if c["language"] == "python"))')
is "$(aisbx code --context "$context" --json -c '"v"' | python3 -c 'import json, sys
events = [json.loads(line) for line in sys.stdin]
print(events[0]["result"]["mime_type"], events[-1]["ended"]["execution_count"])')" "text/plain 3" "events"
rc=0
aisbx code -s "$id" --timeout 300ms -c 'while True: pass' 2>"$dir/err" || rc=$?
is "$rc" 124 "the status of a time limit"
grep -q "lives on" "$dir/err" || fail "$(<"$dir/err")"

mkdir -p "$dir/images"
chmod 777 "$dir/images"
png='class P:
    def _repr_png_(self): return b"\x89PNG"
P()'
for _ in 1 2; do
    aisbx code -s "$id" --output-dir "$dir/images" -c "$png" 2>/dev/null
done
is "$(cd "$dir/images" && wc -c result-1.png result-2.png | awk '{print $1}' | xargs)" "4 4 8" "images as files"
aisbx destroy "$id" >/dev/null
