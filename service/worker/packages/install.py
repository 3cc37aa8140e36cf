# Runs in a sandbox: pip installs below /tmp, and the files go to standard output (tree.h).
# Arguments: registry, "code" or "", packages.
import os
import shutil
import struct
import subprocess
import sys

out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
registry, code, *names = sys.argv[1:]
top = os.path.join(os.environ.get("TMPDIR", "/tmp"), "aisbx-packages")
python = [sys.executable, "-I", "-m"]


def put(kind, path=b"", size=0, program=False):
    out.write(struct.pack("<cBHIQ", kind, program, len(path), 0, size) + path)


def put_file(path, name):
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size
        put(b"f", name, left, os.access(path, os.X_OK))
        while left > 0 and (piece := file.read(min(left, 1 << 16))):
            out.write(piece)
            left -= len(piece)
    if left:
        sys.exit("a file shrank while it was read")


if subprocess.run([*python, "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
    sys.exit("there is no pip for this python3; on the worker's host: apt install python3-pip")
os.mkdir(top)
command = [*python, "pip", "install", "--quiet", "--target", top, "--no-input", "--no-cache-dir", "--no-compile",
           "--disable-pip-version-check", "--progress-bar", "off", "--retries", "1", "--index-url", registry]
if registry.startswith("http://"):
    command += ["--trusted-host", registry.split("/")[2]]
if not code:
    command += ["--only-binary", ":all:"]
os.environ["PIP_ROOT_USER_ACTION"] = "ignore"
done = subprocess.run([*command, "--", *names], stdin=subprocess.DEVNULL)
if done.returncode:
    sys.exit(done.returncode)
# Nobody will write these files, so their time need not be looked at.
subprocess.run([*python, "compileall", "-qq", "--invalidation-mode", "unchecked-hash", "-s", top, "-p", "/packages", top],
               stdin=subprocess.DEVNULL)
for folder, folders, files in os.walk(os.fsencode(top)):
    folders.sort()
    for file in sorted(files + [f for f in folders if os.path.islink(os.path.join(folder, f))]):
        path = os.path.join(folder, file)
        name = os.path.relpath(path, os.fsencode(top))
        if os.path.islink(path):
            target = os.readlink(path)
            put(b"l", name, len(target))
            out.write(target)
        elif os.path.isfile(path):
            put_file(path, name)
from importlib.metadata import distributions
for line in sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions(path=[top])}):
    text = line.encode()[:256]
    put(b"p", size=len(text))
    out.write(text)
put(b"e")
out.flush()
shutil.rmtree(top, ignore_errors=True)
