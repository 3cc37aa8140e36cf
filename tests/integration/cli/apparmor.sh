#!/usr/bin/env bash
# The AppArmor profile of deploy/ is one that apparmor_parser takes, for the files that are installed. Parsers
# before 4.0 know no "userns": there the rest is looked at.
source "$(dirname "$0")/../../lib/env.sh"
PATH=$PATH:/usr/sbin:/sbin
command -v apparmor_parser >/dev/null || skip "needs apparmor_parser (package apparmor)"
profile=$repo/deploy/apparmor/aisbx-spawner
parse() { apparmor_parser --skip-kernel-load --skip-cache "$@" 2>"$dir/err"; }

"$repo/tests/lib/apparmor-profile" >"$dir/profile"
parse "$dir/profile" || fail "$(<"$dir/err")"
[[ $(parse --names "$dir/profile") == aisbx-spawner ]] || fail "name: $(parse --names "$dir/profile")"

# What would not be seen if the parser took everything.
sed 's/^}$//' "$dir/profile" >"$dir/broken"
! parse "$dir/broken" || fail "the parser takes a profile that is none"

# The words that make it work, and the folders where "cmake --install" puts the spawner.
for words in '^abi <abi/4.0>,$' '^  userns,$' 'flags=(unconfined)' '/usr/{,local/}{.*libexec/aisbx.*}/aisbx-spawner'; do
    grep -q -- "$words" "$profile" || fail "no \"$words\" in the profile"
done
grep -q 'RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/aisbx' "$repo/service/spawner/CMakeLists.txt" ||
    fail "the spawner is installed elsewhere"
