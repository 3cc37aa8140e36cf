#!/usr/bin/env bash
# no-new-privs.sh root|user: started without a way to new privileges, as containers are that permit no escalation. Before
# Linux 6.16 execve makes the effective uid the real one there, so init must have no real uid but the job's.
[[ $(setpriv --dump 2>/dev/null) == *'no_new_privs: 1'* ]] || exec setpriv --no-new-privs "$0" "$@"
source "$(dirname "$0")/common.sh"
work

ids=$(aisbx run --profile strict -- sh -c 'id -u; sed -n "s/^Uid:\t//p" /proc/1/status')
check_text "the job, and init with its id" $'1000\n1000\t1000\t1000\t1000' "$ids"
check_has "which is told" 'init: has the id of the job' "$(aisbx run --profile strict --verbose -- true 2>&1)"
aisbx run --profile python-dev -- sh -c 'echo mine >made' || fail "the workspace is not the job's"
check_text "what it made" mine "$(cat made)"
