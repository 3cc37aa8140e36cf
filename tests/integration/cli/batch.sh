#!/usr/bin/env bash
# batch: a program against the inputs of a folder.
source "$(dirname "$0")/common.sh"
work

mkdir cases
for i in 1 2 3 10; do
    echo "$i" >"cases/$i.in"
    echo "$((i * 2))" >"cases/$i.out"
done
echo 4 >cases/ans.in
echo 8 >cases/ans.ans
echo 5 >cases/unknown.in
cat >double.py <<'PY'
import sys
print(int(input()) * int(sys.argv[1]))
PY
chmod -R a+rX .

check_status 0 batch --cases cases double.py 2
check_text "each case" "$(printf 'passed %s\n' 1 10 2 3 ans unknown)" "$(sort "$dir/out")"
check_has "summary" "6 of 6 passed" "$(<"$dir/err")"
check_status 0 batch -q --cases cases double.py 2
check_text "quiet" '' "$(<"$dir/out")"

echo 7 >cases/2.out
printf 'x\n' >cases/3.in
check_status 1 batch -j 1 --cases cases double.py 2
check_has "wrong" "^failed 2: other output than expected$" "$(<"$dir/out")"
check_has "ended" "^failed 3: exited 1" "$(<"$dir/out")"
check_has "summary" "4 of 6 passed" "$(<"$dir/err")"
check_status 1 batch -j 1 --fail-fast --cases cases double.py 2
check_text "until the first failure" "$(printf 'passed 1\nfailed 2: other output than expected')" "$(<"$dir/out")"

# In the order of names, numbers by their value; every line is one result.
check_status 1 batch -j 1 --json --cases cases double.py 2
check_text "JSON" "1 True 2 False 3 False 10 True ans True unknown True" "$(python3 -c '
import json, sys
print(*(x for r in map(json.loads, sys.stdin) for x in (r["case_id"], r["passed"])))' <"$dir/out")"
echo 'import time; time.sleep(60)' >sleep.py
chmod a+r sleep.py
check_status 1 batch --timeout 300ms --fail-fast --cases cases sleep.py
check_has "limit" "timed_out" "$(<"$dir/out")"

if command -v cc >/dev/null; then
    printf '#include <stdio.h>\nint main(){int a;scanf("%%d",&a);printf("%%d\\n",a*2);}' >double.c
    echo 'int main(){return x;}' >bad.c
    chmod a+r ./*.c
    rm cases/3.in cases/2.in
    check_status 0 batch --cases cases double.c
    check_status 1 batch --cases cases bad.c
    check_has "what the compiler says" "undeclared" "$(<"$dir/err")"
    check_has "says so" "bad.c does not compile" "$(<"$dir/err")"
fi

mkdir many
chmod a+rX many
head -c 900000 /dev/zero | tr '\0' 1 >many/data
for i in 1 2 3 4 5 6 7 8; do
    ln many/data "many/$i.in"
done
echo 'wc -c' >count.sh
chmod a+r count.sh
check_status 0 batch --cases many count.sh # more than one call takes
check_text "all of them" 8 "$(wc -l <"$dir/out")"

check_status 2 batch double.py
check_has "what is missing" "needs --cases DIR" "$(<"$dir/err")"
check_status 1 batch --cases nowhere double.py
check_status 1 batch --cases . double.py
check_has "no case" "NAME.in" "$(<"$dir/err")"
cp double.py program
check_status 2 batch --cases cases program
check_has "no language" "--language python, node" "$(<"$dir/err")"
check_status 1 batch --cases cases --language python nothing.py
check_text "nothing is left" '' "$(aisbx list --quiet)"
