"""full.py BIN DIR: what cannot be written down is not done, and the worker goes on by itself once it can."""

import errno
import subprocess
import sys

from rig import DIR, Worker, must_verify, rows, until

STATE, WORK, FILLER = DIR / "small", DIR / "work", DIR / "small" / "filler"


def fill():
    with open(FILLER, "ab", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error


def touch(worker, name):
    return worker.aisbx("run", "--profile", "python-dev", "-w", str(WORK), "--", "touch", f"/workspace/{name}")


def check():
    with Worker(STATE) as worker:
        done = touch(worker, "before")
        assert done.returncode == 0 and (WORK / "before").exists(), done
        fill()
        for number in range(200):  # until what the database has in reserve is used up
            done = touch(worker, f"during{number}")
            assert (done.returncode == 0) == (WORK / f"during{number}").exists(), (number, done)
            if done.returncode != 0:
                break
        said = done.stderr.decode()
        assert done.returncode == 125 and "nothing was done, as it could not be written down before" in said and "full" in said, said
        refused = worker.aisbx("create", "--profile", "strict", "--no-workspace")
        assert refused.returncode == 1 and b"nothing was done" in refused.stderr, refused
        assert worker.must("list", "--quiet") == "", "what was refused is there"
        FILLER.unlink()
        until("it works again", lambda: touch(worker, "after").returncode == 0)
        assert (WORK / "after").exists()
        must_verify(worker.db)
    must_verify(STATE / "aisbx.db")
    kept = rows(STATE / "aisbx.db")
    assert not [row for row in kept if f"/workspace/during{number}" in row[9]], "it was refused, and is written down"
    assert [row for row in kept if "/workspace/after" in row[9]]


STATE.mkdir()
WORK.mkdir()
WORK.chmod(0o777)
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(STATE)], check=False).returncode != 0:
    print("skipped: no tmpfs can be mounted here")
    sys.exit(77)
try:
    check()
except AssertionError:
    print((DIR / "worker.log").read_text(errors="replace")[-3000:], file=sys.stderr)
    raise
finally:
    subprocess.run(["umount", "-l", str(STATE)], check=True)
