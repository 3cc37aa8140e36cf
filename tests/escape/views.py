"""What can only be seen from outside of the sandbox, by the name of the probe."""
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import time

import groups
import world as worlds

EARLIER_LINE = 'an earlier line\n'
UNSEEN = 'the probe was not seen from outside'
PERSONS = {str(user.pw_uid) for user in pwd.getpwall()}
CAPABILITIES = ('CapPrm', 'CapEff', 'CapInh', 'CapAmb')
FLOOD_BYTES = 96 << 20
SHARED = ('/tmp', '/dev/shm', '/var/tmp', '/run', '/run/lock')
DEEP = 'sbx-deep-dddddddddddddddddd'


def is_left_by(world, name):
    return name.startswith('sbx-') and name.endswith('-' + world.tag)


def named(world, stem):
    name = f'sbx-{stem}-{world.tag}'
    return [pid for pid, (_, known) in worlds.processes().items() if known == name]


def watch(world, result, seconds):
    """Called while the probe runs."""
    watcher = WATCHERS.get(result.probe.name)
    if watcher and not result.seen and seconds > 0.3:
        watcher(world, result)
        if result.seen:
            worlds.send(named(world, 'uid'), signal.SIGUSR1)  # it need not wait on


def watch_identity(world, result):
    for pid in named(world, 'uid'):
        try:
            with open(f'/proc/{pid}/status', encoding='utf-8') as file:
                lines = dict(line.partition(':')[::2] for line in file.read().splitlines())
            result.seen = {'uids': lines['Uid'].split(), 'groups': lines['Groups'].split()}
        except (OSError, KeyError):
            pass


def watch_group(world, result):
    for pid in named(world, 'uid'):
        result.seen = {'unbounded': groups.unbounded(pid)}


def watch_servers(world, result):
    """Only once the probe runs: a worker that still starts has yet to give up what it started with."""
    if not named(world, 'uid'):
        return
    is_of_ids = result.probe.name == 'server-identity'
    is_elsewhere = 'AISBX_ADDRESS' in os.environ  # a worker that was there before
    result.seen = {'servers': {}}
    for pid in worlds.processes() if is_elsewhere else worlds.descendants(os.getpid()):
        status = status_of(pid)
        if status.get('Name') == 'aisbx-worker':
            result.seen['servers'][pid] = [what for what, is_there in (
                ('the id of root', is_of_ids and '0' in status['Uid'].split()),
                ('capabilities', not is_of_ids and any(int(status[s], 16) for s in CAPABILITIES)),
                ('no filter', not is_of_ids and status['Seccomp'] != '2'),
            ) if is_there]


def status_of(pid):
    try:
        with open(f'/proc/{pid}/status', encoding='utf-8') as file:
            lines = dict(line.partition(':')[::2] for line in file.read().splitlines())
        return {key: value.strip() for key, value in lines.items()}
    except OSError:
        return {}


def watch_inotify(world, result):
    result.seen = {'user_can_watch': world.user_can_watch()}


def look(world, result):
    view = VIEWS.get(result.probe.name)
    if view:
        view(world, result)


def host_file_write(world, result):
    if os.path.exists(world.marker):
        os.unlink(world.marker)
        result.set('LEAKED', f'{world.marker} is on the host')


def shared_directories(world, result):
    paths = [f'{folder}/sbx-shared-{world.tag}' for folder in SHARED]
    there = [path for path in paths if os.path.exists(path)]
    for path in there:
        if os.path.exists(path):  # /run/lock and /run may be one
            os.unlink(path)
    if there:
        result.set('LEAKED', 'on the host: ' + ' '.join(there))


def workspace_owner(world, result):
    path = os.path.join(world.work, 'sbx-owner-' + world.tag)
    if not os.path.lexists(path):
        return
    owner, wanted = os.lstat(path).st_uid, os.lstat(world.work).st_uid
    if owner != wanted:
        result.set('LEAKED', f'the file belongs to {owner}, the workspace to {wanted}')


def host_user(world, result):
    if not result.seen:
        result.set('NONE', UNSEEN)
    elif '0' in result.seen['uids']:
        result.set('LEAKED', 'host uids ' + '/'.join(result.seen['uids']))
    elif world.is_root and world.user is None and PERSONS & set(result.seen['uids']):
        result.set('LEAKED', 'host uids of others ' + '/'.join(result.seen['uids']))
    else:
        result.detail += '; outside ' + '/'.join(result.seen['uids'])


def supplementary_groups(world, result):
    if not result.seen:
        result.set('NONE', UNSEEN)
        return
    is_in = str(worlds.FOREIGN_GROUP) in result.seen['groups']
    is_ordinary = not world.is_root or world.user is not None
    if is_in and is_ordinary and 'setgroups deny' in result.detail:
        result.set('N/A', 'in a user namespace of an ordinary user nobody can drop groups')
    elif is_in:
        result.set('LEAKED', 'outside it is in groups ' + ' '.join(result.seen['groups']))


def inotify_instances(_, result):
    if not result.seen.get('user_can_watch', True):
        result.set('LEAKED', f'the user outside has none left; {result.detail}')


def control_group(_, result):
    if not result.seen:
        result.set('NONE', UNSEEN)
    elif result.seen['unbounded']:
        result.set('LEAKED', 'without a limit: ' + ' '.join(result.seen['unbounded']))
    else:
        result.detail = 'every limit is set'


def server_privilege(_, result):
    servers = result.seen.get('servers')
    held = sorted({what for found in (servers or {}).values() for what in found})
    if servers is None:
        if result.verdict != 'NONE':  # else it is told why nothing ran
            result.set('NONE', UNSEEN)
    elif not servers:
        result.set('N/A', 'no worker serves this sandbox')
    elif held:
        result.set('LEAKED', 'the worker has: ' + ', '.join(held))
    else:
        result.detail = 'nothing that the worker could do without'


def init_signals(_, result):
    if result.verdict == 'NONE':
        result.set('LEAKED', f'the sandbox ended or stopped: {result.detail}')


def stdio_truncated(world, result):
    with open(world.log, encoding='utf-8', errors='replace') as file:
        if not file.read().startswith(EARLIER_LINE):
            result.set('LEAKED', 'an earlier line of the log is lost')


def pipe_flags(_, result):
    if not result.seen['blocking']:
        result.set('LEAKED', "the caller's pipe does not block any more")


def terminal_input(_, result):
    if result.typed:
        result.set('LEAKED', f'{result.typed!r} was typed into the terminal')


def sysv_left_behind(_, result):
    segment = worlds.LIBC.shmget(worlds.LEFT_IPC_KEY, 0, 0)
    if segment >= 0:
        worlds.LIBC.shmctl(segment, 0, None)
        result.set('LEAKED', 'a segment outlived the sandbox')


def output_flood(_, result):
    mib = result.output_bytes / (1 << 20)
    result.set('LEAKED' if result.output_bytes > FLOOD_BYTES else 'HELD', f'{mib:.1f} MiB came through')


def wall_clock(_, result):
    if result.left:
        result.set('LEAKED', f'still running: {" ".join(result.left)}')
    elif result.verdict == 'NONE' and not result.hung:
        result.set('HELD', f'ended after {result.seconds:.1f} s')


def left_process(stem):
    def view(world, result):
        time.sleep(0.5)
        pids = named(world, stem)
        if pids:
            result.set('LEAKED', f'still running: {pids}')
    return view


def timeout_daemon(world, result):
    if result.left or named(world, 'tmd'):
        result.set('LEAKED', f'still running: {" ".join(result.left) or named(world, "tmd")}')
    elif result.verdict == 'NONE' and not result.hung:
        result.set('HELD', f'ended after {result.seconds:.1f} s')


def output_held(_, result):
    if result.seconds > 5:
        result.set('LEAKED', f'the run ended only after {result.seconds:.1f} s')


def deep_folders(_, result):
    top = os.path.join('/tmp', DEEP)
    if os.path.isdir(top):
        remove_chain(top)
        result.set('LEAKED', f'{top} is on the host')


def left_folder(stem):
    """In /tmp of the host, or wherever the sandbox keeps what the job writes there."""
    def view(world, result):
        name = f'sbx-{stem}-{world.tag}'
        places = ('/tmp', '/var/tmp', '/dev/shm', '/run', world.work, world.runtime)
        tops = [os.path.join(place, name) for place in places]
        there = [top for top in tops if os.path.lexists(top)]
        for top in there:
            subprocess.run(['chmod', '-R', 'u+rwx', top], check=False)
            shutil.rmtree(top, ignore_errors=True)
        if there:
            result.set('LEAKED', 'on the host: ' + ' '.join(there))
    return view


def remove_chain(top):
    """Moves each next folder up beside the first: no path grows long."""
    spare = top + '.next'
    while True:
        inner = os.path.join(top, DEEP)
        if not os.path.isdir(inner):
            os.rmdir(top)
            return
        os.rename(inner, spare)
        os.rmdir(top)
        os.rename(spare, top)


def lock_left(world, result):
    path = os.path.join(world.work, 'sbx-lock-' + world.tag)
    fd = os.open(path if os.path.exists(path) else world.work, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        result.set('LEAKED', 'the lock is still held')
    finally:
        os.close(fd)


WATCHERS = {
    'host-user': watch_identity,
    'supplementary-groups': watch_identity,
    'inotify-instances': watch_inotify,
    'control-group': watch_group,
    'server-identity': watch_servers,
    'server-privilege': watch_servers,
}
VIEWS = {
    'host-file-write': host_file_write,
    'shared-directories': shared_directories,
    'workspace-owner': workspace_owner,
    'host-user': host_user,
    'supplementary-groups': supplementary_groups,
    'inotify-instances': inotify_instances,
    'control-group': control_group,
    'server-identity': server_privilege,
    'server-privilege': server_privilege,
    'init-signals': init_signals,
    'stdio-truncated': stdio_truncated,
    'pipe-flags': pipe_flags,
    'terminal-input': terminal_input,
    'sysv-left-behind': sysv_left_behind,
    'output-flood': output_flood,
    'wall-clock': wall_clock,
    'wall-clock-of-stopped': wall_clock,
    'wall-clock-of-thrash': wall_clock,
    'daemon-left': left_process('dmn'),
    'fork-chain': left_process('chn'),
    'output-held': output_held,
    'timeout-daemon': timeout_daemon,
    'deep-folders': deep_folders,
    'hostile-names': left_folder('names'),
    'closed-folders': left_folder('closed'),
    'lock-left': lock_left,
}
