"""The layers of defence, and what shows that each of them is one.

A row switches names off (base/mutate.h) and says which probes are run then; at least one has to turn red. Where
another layer stands in front, so that one alone can fail unseen, the row names it too: it is switched off in both of
two runs, the row's own layer in the second only, and that one has to have a red probe more. Such a pair is the proof of
both when there is a row for either direction.

Probes are those of the escape battery, by name; or the attempts of tests/integration/egress; or the tests of a program
or a script that looks from closer by."""
from dataclasses import dataclass


@dataclass
class Row:
    layer: str
    off: str  # names, parted by commas
    probes: tuple  # kind, then what that kind needs to know
    front: str = ''  # names that are off in both runs
    needs: str = ''  # of the host, or it cannot be seen there: a limit that may be raised, "swap" that is counted, "io" that is limited, "root"


def escape(*names, profile='strict', options=()):
    """@profile: "open" has no allowlist (open.yaml)."""
    return ('escape', ('--profile', profile, *options), names)


def execs(*names, options=()):
    """In an exec of a sandbox that stays."""
    return ('execs', options, names)


def egress():
    """All of refuses.py, until two attempts have succeeded."""
    return ('egress', 'refuses.py', ('--enough', '2'))


def serves(*tests):
    """Tests of serves.py."""
    return ('egress', 'serves.py', tests)


def secrets(*tests):
    """Tests of secrets.py."""
    return ('egress', 'secrets.py', tests)


def script(path, *complaints):
    """A script of tests/ that runs as a whole; what it says of those of its checks that are probes."""
    return ('script', path, complaints)


def program(name, *tests):
    """A test program, which runs as a whole; those of its tests that are probes."""
    return ('program', name, tests)


def copies(name, *tests):
    """The same, with sandboxes that start from snapshots with copies."""
    return ('copies', name, tests)


SETUID = ('chmod', 'fchmod', 'fchmodat', 'fchmodat2', 'creat', 'mknod', 'mknodat', 'open', 'openat')
SCHEDULING = 'floor.setpriority,floor.ioprio_set,floor.sched_setparam,floor.sched_setscheduler,' \
             'floor.sched_setattr,floor.sched_setaffinity'
KEYS = 'filter.allow,filter.deny'
STREAMS = escape('stdio-reopened', 'stdio-truncated', 'terminal-modes')
DUMP = escape('init-memory', 'init-descriptors', 'init-links', 'init-environment')

ROWS = [
    # namespaces
    Row('user namespace', 'ns.user', escape('user-namespace')),
    Row('PID namespace', 'ns.pid,proc.own', escape('host-processes', 'init-signals')),
    Row('network namespace', 'ns.net,step.loopback',
        escape('host-loopback', 'host-addresses', 'metadata-address', 'routes', 'interfaces', 'name-server')),
    Row('IPC namespace', 'ns.ipc', escape('sysv-objects', 'posix-queue', 'sysv-left-behind'),
        front='filter.allow,filter.deny,rlimit.12'),
    Row('UTS namespace', 'ns.uts,step.hostname', escape('hostname')),
    Row('cgroup namespace', 'step.cgroupns', escape('cgroup-namespace')),
    # what is in sight
    Row('the old root is gone', 'root.detach', escape('secret-by-detour'), front='step.landlock'),
    Row('Landlock: files', 'step.landlock', escape('secret-by-detour'), front='root.detach'),
    Row('Landlock: device nodes', 'step.landlock', escape('make-whiteout'), front='filter.allow,floor.mknod,floor.mknodat'),
    Row('Landlock: abstract sockets', 'step.landlock', escape('abstract-socket'), front='ns.net,step.loopback'),
    Row('Landlock: devices', 'step.landlock', escape('device-nodes'), front='dev.own'),
    Row('own /dev', 'dev.own', escape('device-nodes'), front='step.landlock'),
    Row('mounts are private', 'root.private', escape('mount-propagation')),
    Row('system trees are frozen', 'step.freeze', escape('mount-nosuid', 'root-mount')),
    Row('read-only root', 'root.read-only', escape('root-mount')),
    Row('nosuid of writable space', 'space.nosuid', escape('mount-flags', 'mount-nosuid')),
    Row('nodev of writable space', 'space.nodev', escape('mount-flags')),
    Row('nosuid of bound directories', 'bind.nosuid', escape('mount-flags', 'mount-nosuid', profile='python-dev')),
    Row('nodev of bound directories', 'bind.nodev', escape('mount-flags', profile='python-dev')),
    Row('read-only bound directories', 'bind.read-only', escape('own-executable')),
    Row('owners of bound directories', 'bind.owner', escape('workspace-owner', profile='python-dev')),
    Row('bound with the caller\'s rights', 'bind.peer', program('test_spawner_mounts', 'refuses_what_the_caller_may_not_open')),
    Row('the caller is who the worker accepted', 'bind.peer-socket',
        program('test_spawner_mounts', 'refuses_an_end_of_a_pair', 'refuses_a_connection_to_another_socket', 'refuses_a_client_of_any_server')),
    Row('no interface of the kernel is bound', 'bind.kind', program('test_spawner_mounts', 'refuses_interfaces_of_the_kernel')),
    Row('own /proc', 'proc.own', escape('host-processes')),
    Row('masked /proc', 'proc.hide,step.verify', escape('masked-files', 'kernel-addresses', 'other-names', 'pressure')),
    Row('read-only /proc/sys', 'proc.read-only,step.verify', escape('settings-mount')),
    Row('/proc is looked at again', 'step.verify', escape('masked-files'), front='proc.hide'),
    Row('synthetic /etc', 'etc', escape('host-etc')),
    # who the job is
    Row('ids of its own', 'ids.own', escape('host-user')),
    Row('never root of the host', 'parent.root', escape('host-user', options=('--driver', 'chroot')),
        front='ids.root,bind.owner,floor.setresuid'),
    Row('supplementary groups', 'groups', escape('supplementary-groups')),
    Row('bounding set', 'caps.bounding', escape('capabilities')),
    Row('capability sets', 'caps.drop', escape('capabilities-held'), front='caps.bounding,caps.securebits,filter.allow'),
    Row('securebits', 'caps.securebits', escape('capabilities-held'), front='caps.bounding,caps.drop,filter.allow'),
    Row('no_new_privs', 'no-new-privs', escape('no-new-privs', 'filter-after-exec')),
    Row('session of the job', 'session.init', escape('own-session')),
    Row('session of init', 'session.child', escape('own-session', 'session-outside'), front='session.init'),
    Row('session keyring of a sandbox', 'keyring.child', escape('keyring-secret'), front=KEYS + ',keyring.spawner'),
    Row('session keyring of the spawner', 'keyring.spawner', escape('keyring-secret'), front=KEYS + ',keyring.child'),
    Row('init has an id of its own', 'init.id', execs('parent-signals', 'parent-limits')),
    Row('an id of its own keeps init closed', 'init.id', DUMP, front='init.dumpable,init.file'),
    Row('init is not dumpable', 'init.dumpable', DUMP, front='init.file,init.id'),
    Row('init cannot be read', 'init.file', DUMP, front='init.dumpable,init.id'),
    # system calls
    Row('filter: allowlist', 'filter.allow', escape('rare-calls', 'administration-calls', 'memory-sysv', 'posix-queue')),
    Row('filter: denials', 'filter.deny', escape('ioctl-filter', 'namespace-clone', 'family-alg', 'setuid-by-chmod')),
    Row('filter: denials behind an allowlist', 'filter.deny', escape('bpf', 'io-uring', 'ptrace', 'unmount', 'keyring-calls'),
        front='filter.allow'),
    Row('filter: foreign ABI', 'filter.abi', escape('abi-int80', 'abi-x32')),
    Row('no new namespaces', 'floor.clone', escape('namespace-clone', 'namespace-clone-high-bits', profile='open'),
        front='proc.pools'),
    Row('no namespaces are left to be made', 'proc.pools', escape('namespace-clone', profile='open'), front='floor.clone'),
    Row('clone3 is absent', 'floor.clone3', escape('clone3-absent', 'namespace-clone3', profile='open')),
    Row('no typing into terminals', 'floor.ioctl', escape('ioctl-filter', profile='open')),
    Row('no signals by descriptors, no leases', 'floor.fcntl', escape('descriptor-owner', 'file-lease', 'delegation')),
    Row('no pages in common', 'floor.madvise', escape('merged-pages', profile='open')),
    Row('no core of its own', 'floor.prctl', escape('core-cookie', profile='open')),
    Row('no parsers on sockets', 'floor.setsockopt', escape('upper-protocol', profile='open')),
    Row('socket families', 'floor.socket', escape('family-alg', 'family-packet', 'family-vsock', 'family-netlink', profile='open')),
    Row('socketpair families', 'floor.socketpair', escape('pair-rare-families', profile='open')),
    Row('protocols of the internet', 'floor.socket', escape('internet-protocols', profile='open')),
    Row('huge pages of a mapping', 'floor.mmap', escape('memory-huge', profile='open')),
    Row('huge pages of a file', 'floor.memfd_create', escape('memory-huge', profile='open')),
    Row('limits of PID 1', 'floor.prlimit64', escape('init-limits'), front='init.id'),
    Row('priorities of PID 1', SCHEDULING, escape('init-scheduling', 'init-priority-by-user')),
    Row('personality', 'floor.personality', escape('personality', profile='open')),
    *(Row(f'no setuid bit by {call}', f'floor.{call}', escape(f'setuid-by-{call}', profile='open')) for call in SETUID),
    Row('no setuid bit by openat2', 'floor.openat2', escape('setuid-by-openat2', profile='open')),
    # what comes in and goes out
    Row('environment of the job', 'env.job', escape('environment'), front='env.worker'),
    Row('environment of the worker', 'env.worker', escape('environment'), front='env.job'),
    *(Row(f'descriptors: {who}', f'fds.{who}', escape('descriptors'),
          front=','.join(f'fds.{other}' for other in ('worker', 'spawner', 'child', 'init') if other != who))
      for who in ('worker', 'spawner', 'child', 'init')),
    Row('standard streams are copied', 'stdio.copy', escape('pipe-flags')),
    Row('files and terminals are copied', 'stdio.copy', STREAMS, front='stdio.kind'),
    Row('no file or terminal is passed', 'stdio.kind', STREAMS, front='stdio.copy'),
    Row('output limit of aisbx', 'output.client', escape('output-flood')),
    Row('output limit of the worker', 'output.worker',
        program('test_worker', 'output_over_the_limit_keeps_head_and_tail_and_says_so')),
    # limits
    Row('core dumps', 'rlimit.4', escape('core-limit')),
    Row('size of a file', 'rlimit.1', escape('sparse-file')),
    Row('descriptors of a process', 'rlimit.7', escape('descriptor-count', 'eventfds')),
    Row('locked memory', 'rlimit.8', escape('memory-locked'), needs='MEMLOCK'),
    Row('queued signals and timers', 'rlimit.11', escape('queued-signals', 'timers')),
    Row('stack', 'rlimit.3', escape('stack-limit')),
    Row('nice', 'rlimit.13', escape('priorities'), needs='NICE'),
    Row('real-time priority', 'rlimit.14', escape('priorities'), needs='RTPRIO'),
    Row('processes of a user', 'rlimit.6', escape('processes', 'threads'), front='cgroup.pids'),
    Row('processes of the group', 'cgroup.pids', escape('processes', 'threads'), front='rlimit.6'),
    Row('memory of the group', 'cgroup.memory', escape('memory-anonymous', 'memory-memfd')),
    Row('swap of the group', 'cgroup.swap', escape('control-group'), needs='swap'),
    Row('CPU of the group', 'cgroup.cpu', escape('control-group')),
    Row('input and output of the group', 'cgroup.io', script('integration/cli/io.sh', 'the limit in a group'), needs='io'),
    Row('leftovers of the group', 'cgroup.sweep', escape('daemon-left'), front='ns.pid,proc.own'),
    Row('bytes in memory', 'space.bytes', escape('memory-tmpfs'), front='cgroup.memory'),
    Row('files in memory', 'space.inodes', escape('inodes')),
    Row('layers are read-only', 'layers.read-only', program('test_spawner_layers', 'leaves_nothing_behind')),
    Row('owners in layers', 'layers.ids', program('test_spawner_layers', 'gives_another_sandbox_all_that_was_written')),
    Row('owners in copies of layers', 'layers.ids',
        copies('test_spawner_layers', 'gives_another_sandbox_all_that_was_written')),
    Row('bytes of a layer', 'layers.bytes', program('test_spawner_layers', 'is_bounded')),
    Row('bytes and files of a copy', 'space.bytes,space.inodes',
        copies('test_spawner_layers', 'copies_only_what_the_new_sandbox_may_have')),
    Row('memory of a copy', 'layers.group', copies('test_spawner_layers', 'counts_a_copy_as_memory_of_who_has_it')),
    Row('pools of the user', 'proc.pools', escape('inotify-instances')),
    Row('pseudo-terminals', 'dev.ptys', escape('terminals')),
    Row('wall time', 'wall', escape('wall-clock', options=('--timeout', '2s'))),
    Row('archives are not followed through links', 'import.links', script('integration/cli/files.sh', 'why not')),
    Row('archives do not lead up', 'import.dots', script('integration/cli/files.sh', 'nothing of an archive leads up')),
    Row('the whole tree is killed', 'init.tree', execs('timeout-daemon', options=('--timeout=2s',))),
    Row('daemons stay below their exec', 'init.subreaper', execs('timeout-daemon', options=('--timeout=2s',))),
    Row('a supervisor that is stopped ends', 'init.stopped', execs('wall-clock-of-stopped', options=('--timeout=2s',)),
        front='init.id'),
    Row('tied to the spawner', 'step.tie,init.tie', program('test_spawner_life', 'leaves_nothing_when_the_spawner_is_killed'), front='parent.cgroup'),
    # who serves
    Row('worker: ids', 'worker.ids', escape('server-identity')),
    Row('worker: capabilities', 'worker.caps', escape('server-privilege'), front='worker.ids'),
    Row('worker: filter', 'worker.filter', escape('server-privilege')),
    Row('worker: whose word counts for another caller', 'auth.vouch',
        program('test_worker_auth', 'a_certificate_that_is_not_named_speaks_for_nobody')),
    # limited network
    Row('proxy: ids', 'egress.ids', egress(), needs='root'),
    Row('proxy: capabilities', 'egress.caps', egress(), front='egress.ids', needs='root'),
    Row('proxy: filter', 'egress.filter', egress()),
    Row('egress: deny rules', 'egress.deny', egress()),
    Row('egress: allow rules', 'egress.allow', egress()),
    Row('egress: kinds of address', 'egress.block', egress()),
    Row('egress: addresses in addresses', 'egress.unwrap', egress()),
    Row('egress: address after the name', 'egress.resolved', egress()),
    Row('egress: rules before names', 'egress.before-dns', egress()),
    Row('egress: rules after names', 'egress.after-dns', egress(), front='egress.before-dns'),
    Row('egress: ports', 'egress.port', egress()),
    Row('egress: TLS asks for the host', 'egress.sni', egress()),
    Row('egress: TLS asks for a host', 'egress.no-sni', egress()),
    Row('egress: ClientHello in doubt', 'egress.bad-hello', egress()),
    Row('egress: port 443 is TLS', 'egress.tls-port', egress()),
    Row('egress: field Host', 'egress.host-field', egress()),
    Row('egress: fields that are there once', 'egress.twice', egress()),
    Row('egress: two lengths', 'egress.both-lengths', egress()),
    Row('egress: encodings', 'egress.encoding', egress()),
    Row('egress: CONNECT without a body', 'egress.connect-body', egress()),
    Row('egress: names of fields', 'egress.field-name', egress()),
    Row('egress: control characters', 'egress.control', egress()),
    Row('egress: LF alone', 'egress.bare-lf', egress(), front='egress.control'),
    Row('egress: ends of chunks', 'egress.chunk-end', egress()),
    Row('egress: one request', 'egress.one-request', egress()),
    Row('egress: numbers as names', 'egress.number', egress()),
    Row('egress: commands of SOCKS', 'egress.socks-command', egress()),
    Row('egress: connections of a sandbox', 'egress.connections', serves('connections_beyond_the_bound_wait_for_their_turn')),
    Row('egress: bytes of a sandbox', 'egress.bytes', serves('a_bound_of_bytes_holds_for_the_whole_life')),
    Row('secrets: the bound host only', 'egress.secret-host', secrets('another_host_does_not_even_get_what_stands_for_it')),
    Row('secrets: not in a URL', 'egress.secret-url', secrets('nothing_is_put_into_a_url_or_a_body')),
    Row('secrets: not in an answer', 'egress.secret-answer',
        secrets('the_bound_host_gets_the_value', 'pieces_of_an_answer_are_put_together_before_they_are_looked_at')),
]
