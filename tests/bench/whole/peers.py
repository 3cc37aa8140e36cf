"""Other ways to wall a program in, with the same job as far as they can: all namespaces, a read-only /usr, fresh /proc, /dev and
/tmp, no capabilities, no network."""

import json
import os
import shutil
import subprocess

from common import MOUNT

FILTER_FD = "9"  # see tests/bench/act.h


def bwrap(*args, bind=None):
    """bind: (host directory, place, "--bind" or "--ro-bind")."""
    extra = [bind[2], bind[0], bind[1]] if bind else []
    return ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
            "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64", "--ro-bind", "/etc/ld.so.cache", "/etc/ld.so.cache",
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
            "--dir", "/workspace", *extra, "--chdir", "/workspace", "--hostname", "sandbox", "--seccomp", FILTER_FD, *args]


def bwrap_with_workspace(bench, *args):
    return bwrap(*args, bind=(bench.work, "/workspace", "--bind"))


def bwrap_noop(bench):
    return bwrap(f"{MOUNT}/noop", bind=(bench.inside, MOUNT, "--ro-bind"))


def _bundle(bench):
    """A bundle of the Open Container Initiative with the host's /usr."""
    path = os.path.join(bench.dir, "bundle")
    if os.path.isdir(path):
        return path
    root = os.path.join(path, "rootfs")
    for name in ("usr", "proc", "dev", "tmp", "etc", "workspace"):
        os.makedirs(os.path.join(root, name))
    for name in ("bin", "lib", "lib64"):
        os.symlink(f"usr/{name}", os.path.join(root, name))

    def mount(target, kind, source, *options):
        return {"destination": target, "type": kind, "source": source, "options": list(options)}
    namespaces = ["pid", "network", "ipc", "uts", "mount"]
    linux = {"namespaces": [{"type": n} for n in namespaces], "maskedPaths": ["/proc/kcore", "/proc/keys"],
             "readonlyPaths": ["/proc/sys", "/proc/irq", "/proc/bus"]}
    if os.getuid() != 0:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.getuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getgid(), "size": 1}]
    config = {
        "ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": True}, "hostname": "sandbox", "linux": linux,
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/workspace",
                    "noNewPrivileges": True, "env": ["PATH=/usr/bin:/bin"],
                    "capabilities": {k: [] for k in ("bounding", "effective", "inheritable", "permitted")}},
        "mounts": [mount("/proc", "proc", "proc"), mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "size=64k"),
                   mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "size=64m"), mount("/usr", "bind", "/usr", "rbind", "ro")]}
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    return path


class Way:
    """One way to run /bin/true. around: a command that what measures is run by."""

    def __init__(self, *words, bundle=None, around=()):
        self.words, self.bundle, self.around, self.title = words, bundle, around, None

    def args(self, which=0):
        """which: of those that run at one time."""
        return [*self.words, *(["run", "--bundle", self.bundle, f"aisbx-bench-{os.getpid()}-{which}"] if self.bundle else [])]


# crun refuses a machine that has control groups of both versions. Nobody else sees this mount.
LONE_CGROUP2 = ("unshare", "--mount", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh")


def _ways(bench):
    """How each runs /bin/true, by its command: title, and ways, of which the first that works is measured."""
    bundle = _bundle(bench)
    return {
        "crun": ("crun", [Way("crun", bundle=bundle), Way("crun", "--cgroup-manager=disabled", bundle=bundle),
                          Way("crun", "--cgroup-manager=disabled", bundle=bundle, around=LONE_CGROUP2)]),
        "runc": ("runc", [Way("runc", bundle=bundle)]),
        "runsc": ("runsc (gVisor)", [Way("runsc", "--network=none", "--ignore-cgroups", "do", "/bin/true"),
                                     Way("runsc", "--rootless", "--network=none", "--ignore-cgroups", "do", "/bin/true")]),
        "firejail": ("firejail", [Way("firejail", "--quiet", "--noprofile", "--net=none", "--private", "--private-dev",
                                      "--private-tmp", "--caps.drop=all", "--nonewprivs", "--seccomp", "/bin/true")]),
        "srt": ("sandbox-runtime", [Way("srt", "/bin/true")]),
    }


def installed(bench):
    """{key: Way, with its title} of those that are here and work; the others are noted, once."""
    if bench.peers is None:
        bench.peers = _look(bench)
    return bench.peers


def _works(way, bench):
    """None, or what was said."""
    try:
        done = subprocess.run([*way.around, *way.args()], cwd=bench.work, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as trouble:
        return str(trouble)
    said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
    return None if done.returncode == 0 else said[-1][:200]


def _look(bench):
    found, absent = {}, []
    for key, (title, ways) in _ways(bench).items():
        if shutil.which(key) is None:
            absent.append(title)
            continue
        said = []
        for way in ways:
            said.append(_works(way, bench))
            if said[-1] is None:
                way.title = title
                found[key] = way
                break
        else:
            bench.note(f"{title} is here and does not work, so it is left out: {said[0]}")
    if absent:
        bench.note(f"not installed, left out: {', '.join(absent)} (./dev bench --install-peers)")
    return found
