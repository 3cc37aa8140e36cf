"""The limits of the control groups of a process, as the kernel has them."""
import os

ENDLESS = 1 << 60  # version 1 writes its "no limit" as a number of pages


def unbounded(pid):
    """Names of what has no limit; of controllers that are there."""
    found = []
    with open(f'/proc/{pid}/cgroup', encoding='utf-8') as file:
        for line in file.read().splitlines():
            _, names, path = line.split(':', 2)
            folder = folder_of(names, path)
            found += [what for what, file_name in files(names) if is_endless(folder, file_name)]
    return found


def files(names):
    if not names:
        return [('memory', 'memory.max'), ('swap', 'memory.swap.max'), ('cpu', 'cpu.max'), ('processes', 'pids.max')]
    known = {'memory': [('memory', 'memory.limit_in_bytes'), ('swap', 'memory.memsw.limit_in_bytes')],
             'cpu': [('cpu', 'cpu.cfs_quota_us')], 'pids': [('processes', 'pids.max')]}
    return [row for name in names.split(',') for row in known.get(name, [])]


def folder_of(names, path):
    """Where this process sees the group; None: nowhere."""
    wanted = set(names.split(',')) if names else set()
    with open('/proc/self/mountinfo', encoding='utf-8') as file:
        for line in file.read().splitlines():
            before, _, after = line.partition(' - ')
            kind, _, options = after.split(' ', 2)
            root, point = before.split()[3:5]
            if kind == ('cgroup' if names else 'cgroup2') and wanted <= set(options.split(',')) \
                    and (path + '/').startswith(root.rstrip('/') + '/'):
                return os.path.join(point, path[len(root.rstrip('/')):].lstrip('/'))
    return None


def is_endless(folder, name):
    try:
        with open(os.path.join(folder or '/none', name), encoding='utf-8') as file:
            value = file.read().split()[0]
    except OSError:  # not a controller here
        return False
    return value in ('max', '-1') or int(value) >= ENDLESS
