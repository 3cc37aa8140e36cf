"""Runs CPython's regression tests in two sandboxes and compares, test by test."""

import argparse
import json
import pathlib
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
SECONDS = 600
REPORT = "report.xml"


def all_modules():
    root = pathlib.Path(subprocess.check_output(
        ["/usr/bin/python3", "-c", "import test, os; print(os.path.dirname(test.__file__))"], text=True).strip())
    return sorted(p.stem for p in root.glob("test_*") if p.suffix == ".py" or (p / "__init__.py").exists())


def tests_of(module):
    return ["/usr/bin/python3", "-m", "test", "-q", f"--junit-xml=/workspace/{REPORT}", module]


def in_aisbx(aisbx, module, _work):
    return [aisbx, "run", "--profile", "python-dev", "--timeout", f"{SECONDS}s", "--", *tests_of(module)]


def in_bwrap(_aisbx, module, work):
    links = [("usr/bin", "/bin"), ("usr/sbin", "/sbin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64")]
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", "1000",
               "--gid", "1000", "--hostname", "sandbox", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc",
               "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", str(work), "/workspace",
               "--chdir", "/workspace", "--clearenv"]
    for target, name in links:
        command += ["--symlink", target, name]
    for key, value in ENV.items():
        command += ["--setenv", key, value]
    return command + ["timeout", str(SECONDS), *tests_of(module)]


def outcomes(report):
    """{test: passed, failed or skipped}; None when there is no whole report."""
    try:
        root = xml.etree.ElementTree.parse(report).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    found = {}
    for case in root.iter("testcase"):
        kinds = {child.tag for child in case}
        found[case.get("name")] = ("failed" if kinds & {"failure", "error"} else
                                   "skipped" if "skipped" in kinds else "passed")
    return found


def run(sandbox, aisbx, module, work):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o777)
    work.chmod(0o777)
    done = subprocess.run(sandbox(aisbx, module, work), cwd=work, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return outcomes(work / REPORT), done.returncode


def known(path):
    """Lines of "test: reason"."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return dict(line.split(": ", 1) for line in lines if line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--all", action="store_true", help="every module of the suite, not the list in here")
    parser.add_argument("--aisbx", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--differences", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    reasons = known(options.differences)
    available = set(all_modules())
    wanted = options.modules or (sorted(available) if options.all else [m for m in MODULES if m in available])
    totals = {"aisbx": 0, "bwrap": 0}
    only = {"aisbx": [], "bwrap": []}
    broken = []
    for i, module in enumerate(wanted, 1):
        ours, status = run(in_aisbx, options.aisbx, module, options.work / "ours")
        theirs, _ = run(in_bwrap, options.aisbx, module, options.work / "theirs")
        if ours is None and theirs is not None:
            broken.append(f"{module} (exit status {status})")
        passed = {name: {t for t, outcome in (found or {}).items() if outcome == "passed"}
                  for name, found in (("aisbx", ours), ("bwrap", theirs))}
        totals = {name: totals[name] + len(passed[name]) for name in totals}
        only["aisbx"] += sorted(passed["aisbx"] - passed["bwrap"])
        only["bwrap"] += sorted(passed["bwrap"] - passed["aisbx"])
        print(f"[{i}/{len(wanted)}] {module}: aisbx {len(passed['aisbx'])}, bwrap {len(passed['bwrap'])}", flush=True)
    unknown = [name for name in only["bwrap"] if name not in reasons]
    for name in only["aisbx"]:
        print(f"passes in aisbx only: {name}")
    for name in only["bwrap"]:
        print(f"passes in bwrap only: {name}: {reasons.get(name, 'NOT EXPLAINED')}")
    for name in broken:
        print(f"no report from aisbx: {name}")
    print(f"tests passed: aisbx {totals['aisbx']}, bwrap {totals['bwrap']}; modules {len(wanted)}")
    if options.json:
        options.json.write_text(json.dumps({"passed": totals, "only": only, "broken": broken}, indent=1))
    return 1 if unknown or broken or totals["aisbx"] + len(only["bwrap"]) - len(unknown) < totals["bwrap"] else 0


sys.exit(main())
