"""One probe in one sandbox: starts it, reads it, ends it, and says what came of it."""
import os
import pty
import selectors
import signal
import stat
import subprocess
import termios
import time
from dataclasses import dataclass, field

import views
import world as worlds

VERDICTS = ('HELD', 'LEAKED', 'N/A', 'NONE')
LINE_KEPT = 4000
TRIES = 3
FILTER_DEATH = {-signal.SIGSYS, 128 + signal.SIGSYS}


@dataclass
class Probe:
    group: str
    name: str
    needs: str
    holds: str


@dataclass
class Outcome:
    """verdict NONE: the probe said nothing, and nothing explains why."""
    probe: Probe
    verdict: str = 'NONE'
    detail: str = ''
    seconds: float = 0
    status: int = None
    hung: bool = False
    output_bytes: int = 0
    errors: str = ''
    seen: dict = field(default_factory=dict)  # by views.watch
    left: list = field(default_factory=list)  # processes in a sandbox that stays, by in-exec
    typed: bytes = b''  # what came out of the terminal's input queue

    def set(self, verdict, detail):
        self.verdict, self.detail = verdict, detail


def list_probes(program):
    text = subprocess.run([program, 'list'], capture_output=True, text=True, check=True).stdout
    return [Probe(*line.split('\t')) for line in text.splitlines()]


def run_probe(world, command, probe, timeout):
    """On a busy machine a probe may be gone before anyone looks: that one again."""
    for _ in range(TRIES):
        result = run_once(world, command, probe, timeout)
        if (result.verdict, result.detail) != ('NONE', views.UNSEEN):
            break
    return result


def run_once(world, command, probe, timeout):
    result = Outcome(probe)
    master, slave = open_terminal() if probe.needs == 'tty' else (None, None)
    files = open_files(world, probe)
    argv = command + [world.program, 'run', probe.name]
    argv += world.arguments(os.ttyname(slave) if slave is not None else '')
    try:
        read_run(world, start(world, argv, slave, files), result, timeout)
        if probe.name == 'pipe-flags':
            result.seen = {'blocking': os.get_blocking(files[0])}
    finally:
        if slave is not None:
            result.typed = read_now(slave)
        for fd in files + [fd for fd in (master, slave) if fd is not None]:
            os.close(fd)
    judge(result)
    views.look(world, result)
    clean_up(world)
    if not world.victim_is_well():
        result.set('LEAKED', 'the victim outside died')
    return result


def open_terminal():
    master, slave = pty.openpty()
    modes = termios.tcgetattr(slave)
    modes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    return master, slave


def open_files(world, probe):
    """Standard input, perhaps standard error, and what must stay open: the probe needs them so."""
    if probe.name.startswith('pipe-'):
        return list(os.pipe())
    if not probe.name.startswith('stdio-'):
        return []
    with open(world.log, 'w', encoding='utf-8') as log:
        log.write(views.EARLIER_LINE)
    return [os.open(world.input, os.O_RDONLY), os.open(world.log, os.O_WRONLY | os.O_APPEND)]


def start(world, argv, terminal, files):
    """A terminal, when there is one, controls the session, as a person's does."""
    if terminal is not None:
        argv = ['setsid', '--ctty', '--wait'] + argv
    stdin = files[0] if files else subprocess.DEVNULL if terminal is None else terminal
    stderr = files[1] if files and not is_pipe(files[1]) else subprocess.PIPE
    return subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr,
                            env=world.environment(), cwd=world.work, pass_fds=world.leaked,
                            start_new_session=True, **world.identity())


def is_pipe(fd):
    return stat.S_ISFIFO(os.fstat(fd).st_mode)


def read_run(world, process, result, timeout):
    """Until the output ends, or the command did and half a second passed, or time is up."""
    started = time.monotonic()
    ended_at = None
    text = {process.stdout: bytearray()}
    if process.stderr:
        text[process.stderr] = bytearray()
    with selectors.DefaultSelector() as selector:
        for stream in text:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(0.05):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                result.output_bytes += len(chunk)
                text[key.fileobj] = (text[key.fileobj] + chunk)[-LINE_KEPT:]
            now = time.monotonic()
            views.watch(world, result, now - started)
            if process.poll() is not None and ended_at is None:
                ended_at = now
            result.hung = ended_at is None and now - started > timeout
            if result.hung or (ended_at is not None and now - ended_at > 0.5):
                break
    finish(process, result)
    result.seconds = (ended_at or time.monotonic()) - started
    result.detail = find_line(result.probe, bytes(text[process.stdout]), result)
    result.left = [line.partition(' ')[2] for line in bytes(text[process.stdout]).decode('utf-8', 'replace').splitlines()
                   if line.startswith('LEFT ')]
    result.errors = bytes(text.get(process.stderr, b'')).decode('utf-8', 'replace').strip()


def finish(process, result):
    if result.hung:
        worlds.send(worlds.descendants(process.pid) + [process.pid], signal.SIGTERM)
    try:
        result.status = process.wait(3)
    except subprocess.TimeoutExpired:
        worlds.send(worlds.descendants(process.pid) + [process.pid], signal.SIGKILL)
        result.status = process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def find_line(probe, output, result):
    for line in output.decode('utf-8', 'replace').splitlines():
        for verdict in ('HELD', 'LEAKED', 'N/A'):
            if line.startswith(f'{verdict} {probe.name}: '):
                result.verdict = verdict
                return line.partition(': ')[2]
    return ''


def judge(result):
    """A probe that was ended said nothing: by whom decides."""
    if result.verdict != 'NONE':
        return
    last = result.errors.splitlines()[-1][:160] if result.errors else ''
    if result.status in FILTER_DEATH:
        result.set('HELD', 'ended by the filter (SIGSYS)')
    elif result.hung:
        result.set('NONE', f'no answer after {result.seconds:.0f} s; {last}')
    elif is_bomb(result.probe) and result.status != 0:
        result.set('HELD', f'ended with status {result.status}; {last}')
    else:
        result.set('NONE', f'status {result.status}; {last}')


def is_bomb(probe):
    return probe.group in ('memory', 'counts', 'disk')


def read_now(fd):
    os.set_blocking(fd, False)
    try:
        return os.read(fd, 100)
    except OSError:
        return b''


def clean_up(world):
    """Ends what a probe left, and empties the workspace."""
    left = [pid for pid, (_, name) in worlds.processes().items() if views.is_left_by(world, name)]
    worlds.send(left, signal.SIGKILL)
    subprocess.run(['find', world.work, '-mindepth', '1', '-delete'], check=False,
                   stderr=subprocess.DEVNULL)
