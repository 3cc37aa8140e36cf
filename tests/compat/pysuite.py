"""Runs CPython's regression tests in two sandboxes and compares, test by test.

The bubblewrap here is careful in what it shows: every namespace, no capability, a read-only system, a session of its
own. It has no seccomp filter, as bubblewrap brings none, and no limits: it allows whatever Linux allows, so that what
python-dev refuses shows as a test lost. What it would inherit from whoever runs this by accident, the number of
descriptors, is that of python-dev. Both are without a network; with python-dev's own (--network limited) the tests
that fail in any environment that names a proxy fail here, too.
"""

import argparse
import concurrent.futures
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import xml.etree.ElementTree

# What touches the kernel: where a sandbox that is too tight would show.
MODULES = """
test_argparse test_array test_bz2 test_cmd_line test_concurrent_futures test_contextlib test_csv test_ctypes test_datetime
test_dbm test_dict test_docxmlrpc test_epoll test_errno test_eventfd test_exceptions test_faulthandler test_fcntl
test_file test_fileio test_fileinput test_fork1 test_ftplib test_getpass test_glob test_grp test_gzip test_hashlib
test_httplib test_httpservers test_imaplib test_io test_ioctl test_json test_largefile test_locale test_logging
test_lzma test_mailbox test_memoryview test_mmap test_netrc test_openpty test_os test_pathlib test_pickle test_pipes
test_platform test_poll test_popen test_posix test_posixpath test_pty test_pwd test_queue test_random test_resource
test_sched test_secrets test_select test_selectors test_shelve test_shutil test_signal test_smtplib test_socket
test_socketserver test_sqlite3 test_ssl test_stat test_subprocess test_sys test_sysconfig test_tarfile test_telnetlib
test_tempfile test_termios test_thread test_threadedtempfile test_threading test_time test_timeout test_tty
test_unicode_file test_urllib2_localnet test_urllib test_uuid test_venv test_wait3 test_wait4 test_wsgiref test_xmlrpc
test_zipfile test_zlib
""".split()

ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
DESCRIPTORS = 1024
REPORT = "report.xml"
SIDES = ("aisbx", "bwrap")


def all_modules():
    root = pathlib.Path(subprocess.check_output(
        ["/usr/bin/python3", "-c", "import test, os; print(os.path.dirname(test.__file__))"], text=True).strip())
    return sorted(p.stem for p in root.glob("test_*") if p.suffix == ".py" or (p / "__init__.py").exists())


def tests_of(module):
    # No resource of the suite is on: network, urlfetch and the rest are left out.
    return ["/usr/bin/python3", "-m", "test", "-q", f"--junit-xml=/workspace/{REPORT}", module]


def in_aisbx(options, module, _work):
    return [options.aisbx, "run", "--profile", "python-dev", "--network", options.network,
            "--timeout", f"{options.seconds}s", "--", *tests_of(module)]


def in_bwrap(options, module, work):
    links = [("usr/bin", "/bin"), ("usr/sbin", "/sbin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64")]
    descriptors = min(DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    command = ["prlimit", f"--nofile={descriptors}:{descriptors}",
               "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", "1000",
               "--gid", "1000", "--hostname", "sandbox", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
               "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", str(work), "/workspace",
               "--chdir", "/workspace", "--clearenv"]
    for target, name in links:
        command += ["--symlink", target, name]
    for key, value in ENV.items():
        command += ["--setenv", key, value]
    return command + ["timeout", str(options.seconds), *tests_of(module)]


def outcomes(report):
    """{test: (passed, failed or skipped, last line of why)}; None when there is no whole report."""
    try:
        root = xml.etree.ElementTree.parse(report).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    found = {}
    for case in root.iter("testcase"):
        if case.get("name") is None: # what belongs to no single test, such as a failed subtest
            continue
        kinds = {child.tag: (child.text or child.get("message") or "").strip() for child in case}
        outcome = ("failed" if kinds.keys() & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed")
        why = kinds.get("failure") or kinds.get("error") or kinds.get("skipped") or ""
        found[case.get("name")] = (outcome, why.splitlines()[-1] if why else "")
    return found


def run(sandbox, options, module, work):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o777)
    work.chmod(0o777)
    done = subprocess.run(sandbox(options, module, work), cwd=work, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    found = outcomes(work / REPORT)
    shutil.rmtree(work, ignore_errors=True)
    return found, f"exit status {done.returncode}: {done.stderr[-300:].strip()}"


def known(path):
    """Lines of "test: reason"."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return dict(line.split(": ", 1) for line in lines if line)


def compare(options, module, turn):
    """Both sides of one module, one after the other; which goes first takes turns."""
    sides = [("aisbx", in_aisbx), ("bwrap", in_bwrap)]
    found, status = {}, {}
    for name, sandbox in sides if turn % 2 else reversed(sides):
        found[name], status[name] = run(sandbox, options, module, options.work / f"{module}.{name}")
    passed = {name: {t for t, (outcome, _) in (found[name] or {}).items() if outcome == "passed"} for name in SIDES}
    row = {"module": module, "passed": {name: len(passed[name]) for name in SIDES}, "only": {},
           "no_report": {name: status[name] for name in SIDES if found[name] is None},
           "failed": sorted(t for t, (outcome, _) in (found["aisbx"] or {}).items() if outcome == "failed")}
    for mine, other in (SIDES, reversed(SIDES)):
        absent = ("not run", "")
        row["only"][mine] = {t: ": ".join((found[other] or {}).get(t, absent))
                             for t in sorted(passed[mine] - passed[other])}
    return row


def judge(rows, reasons, is_whole):
    """Prints what differs; returns the exit status."""
    totals = {name: sum(row["passed"][name] for row in rows) for name in SIDES}
    only = {name: {t: why for row in rows if not row["no_report"] for t, why in row["only"][name].items()}
            for name in SIDES}
    for test, why in only["aisbx"].items():
        print(f"passes in aisbx only: {test}: in bubblewrap {why}")
    for test, why in only["bwrap"].items():
        print(f"passes in bwrap only: {test}: {reasons.get(test, 'NOT EXPLAINED: ' + why)}")
    broken = []
    for row in rows:
        missing = row["no_report"]
        for name, status in missing.items():
            print(f"no report from {name}: {row['module']}: {status}")
        # A module that neither finished in time says nothing about either.
        if "aisbx" in missing and "bwrap" not in missing:
            broken.append(row["module"])
    unknown = [test for test in only["bwrap"] if test not in reasons]
    print(f"tests passed: aisbx {totals['aisbx']}, bwrap {totals['bwrap']}; modules {len(rows)}; "
          f"in aisbx only {len(only['aisbx'])}, in bwrap only {len(only['bwrap'])}, of these unexplained {len(unknown)}")
    is_short = is_whole and totals["aisbx"] < totals["bwrap"]
    return 1 if unknown or broken or is_short else 0


def main():
    parser = argparse.ArgumentParser(prog="pysuite")
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--all", action="store_true", help="every module of the suite, not the list in here")
    parser.add_argument("--aisbx", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--differences", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path, help="a row per module, written as they end")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="modules at a time (1)")
    parser.add_argument("--network", choices=("none", "limited"), default="none", help="of python-dev (none)")
    parser.add_argument("--seconds", type=int, default=600, help="at most that long per module and side (600)")
    options = parser.parse_args()
    available = all_modules()
    wanted = options.modules or (available if options.all else [m for m in MODULES if m in available])
    rows = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        pending = [pool.submit(compare, options, module, turn) for turn, module in enumerate(wanted)]
        for done in concurrent.futures.as_completed(pending):
            row = done.result()
            rows.append(row)
            print(f"[{len(rows)}/{len(wanted)}] {row['module']}: aisbx {row['passed']['aisbx']}, "
                  f"bwrap {row['passed']['bwrap']}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
    return judge(rows, known(options.differences), not options.modules)


sys.exit(main())
