#!/usr/bin/env bash
# doctor.sh root|user: aisbx-security doctor tells what the worker tells, why, and ends accordingly.
source "$(dirname "$0")/common.sh"
doctor=("${program[@]}")
doctor[-1]=${doctor[-1]}-security

# doctor_of WANTED ARGS...: status and output, in $dir/out and $dir/err.
doctor_of() {
    local wanted=$1 got=0
    shift
    "${doctor[@]}" "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
    [[ $got == "$wanted" ]] || fail "aisbx-security $*: status $got, wanted $wanted; $(cat "$dir/out" "$dir/err")"
}

# ---- the worker and the doctor agree, and the exit status follows from the findings ----
aisbx worker info --json >"$dir/info"
status=0
"${doctor[@]}" doctor --json >"$dir/report" || status=$?
/usr/bin/python3 - "$dir/info" "$dir/report" "$status" <<'END' || fail "$(<"$dir/report")"
import json, sys
info, report = (json.load(open(path)) for path in sys.argv[1:3])
results = {f["check"]: f["result"] for f in report["findings"]}
assert len(results) == len(report["findings"]), "a check stands twice"
assert results["worker"] == "pass"
assert report["worker"]["worker_id"] == info["worker_id"]
details = {f["detail"] for f in report["findings"]}
for control in info["controls"]:
    assert control["detail"] in details, control
    assert (control["state"] == "enforced") == any(
        f["detail"] == control["detail"] and f["result"] == "pass" for f in report["findings"]), control
# What the doctor tries by itself, and what the spawner tried for the worker.
states = {control["control"]: control["state"] for control in info["controls"]}
for check, control in (("fresh /proc", "pid_namespace"), ("landlock version", "landlock"), ("cgroup delegation", "cgroup")):
    assert (results[check] == "pass") == (states[control] == "enforced"), (check, results[check], states[control])
worst = 4 if "fail" in results.values() else 3 if "warn" in results.values() else 0
assert report["exit_status"] == int(sys.argv[3]) == worst, worst
assert report["result"] == {0: "full", 3: "degraded", 4: "unable"}[worst]
for f in report["findings"]:
    assert f["result"] == "pass" or f["fix"], f
for check in ("kernel", "namespaces", "cgroup delegation", "seccomp filters", "landlock version", "denied paths", "fresh /proc", "snapshots"):
    assert check in results, check
END

# ---- for people: the same, and a fix for each gap ----
doctor_of "$status" doctor
gaps=$(grep -cE '^[^ ].*  (warn|note|fail)  ' "$dir/out" || true)
fixes=$(sed -n '/^To fix:/,$p' "$dir/out" | grep -cE '^  .* \((warn|note|fail)\): .' || true)
check_text "gaps and fixes" "$gaps" "$fixes"

# ---- what is taken away is missed: no network namespace more for this user ----
if [[ $who == user ]] && "${doctor[@]:0:${#doctor[@]}-1}" unshare -U --map-current-user --keep-caps \
    sh -c 'echo 0 >/proc/sys/user/max_net_namespaces' 2>/dev/null; then
    aisbx worker stop
    got=0
    "${doctor[@]:0:${#doctor[@]}-1}" unshare -U --map-current-user --keep-caps \
        sh -c 'echo 0 >/proc/sys/user/max_net_namespaces; exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' - \
        "${doctor[-1]}" doctor >"$dir/out" || got=$?
    check_text "status without network namespaces" 4 "$got"
    check_has "netns" '^netns  *fail ' "$(<"$dir/out")"
    check_has "namespaces" '^namespaces  *fail  *user.max_net_namespaces is 0' "$(<"$dir/out")"
    check_has "fix" 'namespaces (fail): sudo sysctl -w user.max_net_namespaces=15000' "$(<"$dir/out")"
    aisbx worker stop
fi

# ---- a container's /proc, parts of which are covered: both see it, and say the same ----
for covered in /proc/{keys,timer_list,kcore,sched_debug}; do
    [[ ! -e $covered ]] || break
done
masked() {
    local cover="mount --bind /dev/null $covered"
    if [[ $who == root ]]; then
        unshare -m sh -c "$cover"' && exec "$@"' - "$@"
    else
        "${doctor[@]:0:${#doctor[@]}-1}" unshare -U -m --map-current-user --keep-caps sh -c \
            "$cover"' && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' - "$@"
    fi
}
if masked true 2>/dev/null; then
    aisbx worker stop
    got=0
    masked "${doctor[-1]}" doctor --json >"$dir/report" || got=$?
    check_text "status with a covered /proc" 4 "$got"
    /usr/bin/python3 - "$dir/report" <<'END' || fail "$(<"$dir/report")"
import json, sys
report = json.load(open(sys.argv[1]))
finding = next(f for f in report["findings"] if f["check"] == "fresh /proc")
control = next(c for c in report["worker"]["controls"] if c["control"] == "pid_namespace")
assert finding["result"] == "fail" and control["state"] == "absent", (finding, control)
assert finding["fix"] == control["fix"] and "systempaths=unconfined" in control["fix"], (finding, control)
END
    aisbx worker stop
fi

# ---- without a worker the host is looked at all the same; elsewhere it is not ----
doctor_of 4 --address "unix:$dir/nobody.sock" doctor
check_has "worker" '^worker  *fail ' "$(<"$dir/out")"
check_has "kernel" '^kernel  *pass ' "$(<"$dir/out")"
doctor_of 4 --address ipv4:127.0.0.1:1 doctor
check_has "host" '^host  *note ' "$(<"$dir/out")"
! grep -q '^kernel' "$dir/out" || fail "looks at this host for another"

# ---- usage, help, completion, manual page ----
doctor_of 2 dcotor
check_has "suggestion" 'aisbx-security: .*did you mean "doctor"' "$(<"$dir/err")"
doctor_of 2 doctor now
doctor_of 0 doctor --help
check_has "help" 'Exit status: 0 when every wall is up' "$(tr '\n' ' ' <"$dir/out")"
check_has "help" '^Examples:' "$(<"$dir/out")"
doctor_of 0 --version
check_has "version" '^aisbx-security [0-9]' "$(<"$dir/out")"
doctor_of 0 completion bash
words=$(bash -c '
    source "$1"
    complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _aisbx-security; echo "${COMPREPLY[*]}"; }
    complete_words aisbx-security doc
    complete_words aisbx-security doctor --js
    complete_words aisbx-security completion z
' - "$dir/out")
check_text "bash completion" $'doctor\n--json\nzsh' "$words"
for shell in zsh fish; do
    ! command -v "$shell" >/dev/null || "${doctor[@]}" completion "$shell" | "$shell" -n || fail "$shell cannot read it"
done
page=${AISBX_BUILD:-$bin/..}/man/aisbx-security.8
if [[ -e $page ]]; then
    for word in doctor 'EXIT STATUS' 'sandboxes cannot run' exit_status; do
        grep -q -- "$word" "$page" || fail "aisbx-security.8 does not mention $word"
    done
    if command -v man >/dev/null; then
        warnings=$(MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
        [[ -z $warnings ]] || fail "aisbx-security.8: $warnings"
    fi
fi
