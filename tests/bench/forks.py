#!/usr/bin/env python3
"""forks.py AISBX DIR [--rounds N] [--forks N] [--mib N]: what a fork of a sandbox costs, next to copies of its files.

By turns: N forks of a sandbox with that many MiB in /workspace, N forks of one of those, and N times cp -r of the same
files from one tmpfs to the same. Of each the median, and the shared memory that is taken when all N are there."""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import time

parser = argparse.ArgumentParser()
parser.add_argument("aisbx")
parser.add_argument("dir")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--forks", type=int, default=8)
parser.add_argument("--mib", type=int, default=200)
options = parser.parse_args()

FILES = 2000
FILL = f"""import os
for i in range({FILES}):
    os.makedirs(f"tree/d{{i % 50}}", exist_ok=True)
    with open(f"tree/d{{i % 50}}/f{{i}}", "wb") as out:
        out.write(os.urandom({options.mib} * 1048576 // {FILES}))
"""


def aisbx(*words, text=None):
    done = subprocess.run([options.aisbx, *words], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"aisbx {words[0]}: {done.stderr}")
    return done.stdout.split()


def shmem():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return int(re.search(r"^Shmem:\s+(\d+)", lines.read(), re.M)[1]) // 1024


def settled():
    """What is destroyed is given back a little later."""
    last = None
    while (now := shmem()) != last:
        last = now
        time.sleep(0.3)
    return now


def measure(make, drop):
    before, start = settled(), time.monotonic()
    made = make()
    seconds = time.monotonic() - start
    taken = shmem() - before
    drop(made)
    return seconds, taken


def fork(of):
    made = aisbx("fork", of, "--count", str(options.forks))
    assert len(made) == options.forks
    return made


def copy(of):
    made = [f"{options.dir}/copy{i}" for i in range(options.forks)]
    for target in made:
        subprocess.run(["cp", "-r", of, target], check=True)
    return made


def main():
    source = aisbx("create", "--profile", "python-dev", "--no-workspace")[0]
    aisbx("exec", source, "python3", "-c", FILL)
    child = aisbx("fork", source)[0]
    tree = f"{options.dir}/tree"
    os.makedirs(tree)
    subprocess.run(["python3", "-c", FILL], cwd=tree, check=True)
    destroy = lambda made: aisbx("destroy", *made)
    remove = lambda made: [shutil.rmtree(path) for path in made]
    rows = [
        ("fork", lambda: fork(source), destroy),
        ("fork of a fork", lambda: fork(child), destroy),
        ("cp -r", lambda: copy(tree), remove),
    ]
    seen = {name: [] for name, _, _ in rows}
    for _ in range(options.rounds):
        for name, make, drop in rows:
            seen[name].append(measure(make, drop))
    slowest = statistics.median(seconds for seconds, _ in seen["cp -r"])
    print(f"{options.forks} of {options.mib} MiB in {FILES} files, median of {options.rounds} rounds")
    for name, values in seen.items():
        seconds = statistics.median(s for s, _ in values)
        memory = statistics.median(m for _, m in values)
        print(f"{name:15} {seconds * 1000:8.0f} ms   {slowest / seconds:5.1f} times as fast   {memory:6.0f} MiB taken")
    aisbx("destroy", "--all")


main()
