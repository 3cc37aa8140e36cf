"""The canaries that the probes look for, and the commands that are started among them."""
import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SYS_ADD_KEY, SYS_KEYCTL = 248, 250
KEYCTL_JOIN_SESSION, KEYCTL_SETPERM, SESSION_KEYRING = 1, 5, -3
CAP_SYS_ADMIN = 21
FOREIGN_GROUP = 60001
FOREIGN_OWNER = 61000
LEFT_IPC_KEY = 0x5b0cb
LOOPBACK = '127.0.0.1,::1,::ffff:127.0.0.1'
# Addresses of the battery's own network; nothing leaves it.
NETWORK = [
    'ip link set lo up',
    'ip link add sbxhost0 type veth peer name sbxhost1',
    'ip link set sbxhost1 up',
    'ip addr add 10.99.0.1/24 dev sbxhost0',
    'ip addr add 169.254.169.254/32 dev sbxhost0',
    'ip -6 addr add fd00:ce0::1/64 dev sbxhost0 nodad',
    'ip link set sbxhost0 up',
    'ip route add default via 10.99.0.2',
    'ip -6 route add 2001:db8::/32 dev sbxhost0',
]


def is_root():
    """Not in name only, as in a pod: one who can make the battery's own network, mounts and owners."""
    with open('/proc/self/status', encoding='utf-8') as file:
        held = int(file.read().partition('CapEff:')[2].split()[0], 16)
    return os.getuid() == 0 and held >> CAP_SYS_ADMIN & 1 == 1


def processes():
    """pid -> (parent, name) of every process that can be seen and lives."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
                head, _, tail = file.read().rpartition(')')
        except OSError:
            continue
        state, parent = tail.split()[:2]
        if state != 'Z':
            found[int(pid)] = (int(parent), head.partition('(')[2])
    return found


def descendants(root):
    table = processes()
    found, parents = [], [root]
    while parents:
        parents = [pid for pid, (parent, _) in table.items() if parent in parents]
        found += parents
    return found


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):  # gone, or of another user
            pass


class World:
    """A context: everything in it is gone when it ends, processes included."""

    def __init__(self, program, user):
        self.is_root = is_root()
        self.user = user if self.is_root else None
        self.token = 'SBX-TOKEN-' + os.urandom(6).hex()
        self.tag = os.urandom(3).hex()
        self.source = program
        self.children = []
        self.marker = f'/var/tmp/sbx-marker-{self.tag}'
        self.shm_canary = f'/dev/shm/sbx-canary-{self.tag}'
        self.abstract = 'sbx-abstract-' + self.tag

    def __enter__(self):
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if self.is_root:
            be_generous()
        try:
            self._make_files()
            if self.is_root:
                self._make_network()
            self._start_servers()
            self._start_victim()
            self._make_session_key()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.stdin.close()
        send(descendants(os.getpid()), signal.SIGTERM)
        self._wait_for_end(2)
        send(descendants(os.getpid()), signal.SIGKILL)
        self._wait_for_end(2)
        for path in (self.marker, self.shm_canary):
            if os.path.exists(path):
                os.unlink(path)
        shutil.rmtree(self.dir, ignore_errors=True)

    @staticmethod
    def _wait_for_end(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.02)
            except ChildProcessError:
                return

    # ---- files

    def _make_files(self):
        self.dir = tempfile.mkdtemp(prefix='sbx-escape-', dir='/var/lib' if self.is_root else None)
        os.chmod(self.dir, 0o755)
        self.secret = self._file('secret.txt', self.token + '\n')
        self.input = self._file('input.txt', 'given to standard input\n', 0o666)
        self.log = self._file('log.txt', '', 0o666)
        self.work = self._folder('work', 0o777)
        self.runtime = self._folder('run', 0o700)
        self.program_dir = self._folder('probes', 0o755)
        self.program = shutil.copy(self.source, os.path.join(self.program_dir, 'sbx-probes'))
        self.suid = shutil.copy(self.source, os.path.join(self.dir, 'suid'))
        os.chmod(self.suid, 0o4755 if self.is_root else 0o755)
        self.socket = os.path.join(self.dir, 'socket')
        with open(self.shm_canary, 'w', encoding='utf-8') as file:
            file.write(self.token)
        self.leaked = [os.open(self.dir, os.O_RDONLY), os.open(self.secret, os.O_RDONLY)]

    def _file(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def _folder(self, name, mode):
        """Folders belong to whoever runs the sandbox; root's workspace to somebody else, as a
        checkout often does."""
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        os.chmod(path, mode)
        if self.user is not None and name != 'probes':
            os.chown(path, self.user, self.user)
        elif self.is_root and name == 'work':
            os.chown(path, FOREIGN_OWNER, FOREIGN_OWNER)
        return path

    # ---- network and sockets

    def _make_network(self):
        for line in NETWORK:
            subprocess.run(line.split(), check=True)
        subprocess.run(['mount', '--make-rshared', '/'], check=True)
        self.hostname = 'sbx-host-' + self.tag
        socket.sethostname(self.hostname)

    def _start_servers(self):
        """In a process of its own, so that this one has a single thread."""
        ports = [self._listen(socket.AF_INET, ('0.0.0.0' if self.is_root else '127.0.0.1', 0))]
        self.port = ports[0].getsockname()[1]
        ports.append(self._listen(socket.AF_INET6, ('::' if self.is_root else '::1', self.port)))
        ports.append(self._listen(socket.AF_UNIX, '\0' + self.abstract))
        ports.append(self._listen(socket.AF_UNIX, self.socket))
        os.chmod(self.socket, 0o777)
        self.leaked.append(os.dup(ports[0].fileno()))
        if os.fork() == 0:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for port in ports:
                threading.Thread(target=self._serve, args=(port,)).start()
            if self.is_root:
                self._serve_names()
            signal.pause()
            os._exit(0)

    @staticmethod
    def _listen(family, address):
        listener = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(64)
        return listener

    def _serve(self, listener):
        while True:
            connection, _ = listener.accept()
            try:
                connection.sendall(self.token.encode())
            except OSError:
                pass
            connection.close()

    @staticmethod
    def _serve_names():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(('0.0.0.0', 53))
        while True:
            query, sender = server.recvfrom(512)
            server.sendto(query[:2] + b'\x81\x80' + query[4:], sender)

    # ---- processes and keys

    def identity(self):
        """Arguments of Popen that make a child who runs the sandbox."""
        if self.user is None:
            return {'extra_groups': [FOREIGN_GROUP]} if self.is_root else {}
        return {'user': self.user, 'group': self.user, 'extra_groups': [FOREIGN_GROUP]}

    def _start_victim(self):
        victim = subprocess.Popen([self.program, 'victim', self.token], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, **self.identity())
        self.children.append(victim)
        self.victim_pid = victim.stdout.readline().split()[1]

    def _make_session_key(self):
        LIBC.syscall(SYS_KEYCTL, KEYCTL_JOIN_SESSION, None)
        key = LIBC.syscall(SYS_ADD_KEY, b'user', b'sbx-canary', self.token.encode(),
                           ctypes.c_size_t(len(self.token)), SESSION_KEYRING)
        LIBC.syscall(SYS_KEYCTL, KEYCTL_SETPERM, key, ctypes.c_uint(0x3f3f3f3f))

    def victim_is_well(self):
        return all(child.poll() is None for child in self.children)

    def user_can_watch(self):
        """Whether whoever runs the sandbox can make an inotify instance now."""
        code = 'import ctypes, sys; sys.exit(ctypes.CDLL(None).inotify_init1(0) < 0)'
        return subprocess.run(['/usr/bin/python3', '-c', code], check=False,
                              **self.identity()).returncode == 0

    # ---- what a probe is started with

    def environment(self):
        return dict(os.environ, HOME=self.runtime, XDG_RUNTIME_DIR=self.runtime,
                    AISBX_RUNTIME_DIR=os.path.join(self.runtime, 'aisbx'), SBX_SECRET=self.token,
                    AWS_SECRET_ACCESS_KEY=self.token, LD_LIBRARY_PATH='/sbx-none')

    def arguments(self, terminal):
        known = {'secret': self.secret, 'token': self.token, 'tag': self.tag, 'marker': self.marker,
                 'victim': self.victim_pid, 'abstract': self.abstract, 'socket': self.socket,
                 'service': os.path.join(self.runtime, 'aisbx/worker.sock'), 'suid': self.suid,
                 'workspace': self.work, 'hostname': socket.gethostname(), 'port': self.port,
                 'loopback': LOOPBACK, 'pidns': os.readlink('/proc/self/ns/pid'),
                 'disk': root_disk(), 'leftkey': LEFT_IPC_KEY, 'tty': terminal}
        if self.is_root:
            known.update(addresses='10.99.0.1,fd00:ce0::1', metadata='169.254.169.254',
                         nameserver='10.99.0.1')
        return [f'{key}={value}' for key, value in known.items()]


def be_generous():
    """What a job is refused is refused by its sandbox, not by chance of this host's limits."""
    for name in ('CORE', 'FSIZE', 'MEMLOCK', 'MSGQUEUE', 'NICE', 'NPROC', 'RTPRIO', 'SIGPENDING', 'STACK'):
        what = getattr(resource, 'RLIMIT_' + name)
        most = {'NICE': 40, 'RTPRIO': 99}.get(name, resource.RLIM_INFINITY)
        try:
            resource.setrlimit(what, (resource.getrlimit(what)[0], most))
        except ValueError:  # root in name only
            pass


def root_disk():
    """major:minor of a disk of this host, or of one that hosts often have."""
    for name in sorted(os.listdir('/sys/class/block')):
        with open(f'/sys/class/block/{name}/dev', encoding='utf-8') as file:
            if name.startswith(('vd', 'sd', 'nvme', 'xvd')):
                return file.read().strip()
    return '254:0'
