"""Runs probes with layers off, and tells which turned red."""
import glob
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
SWAP_FILES = ('/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes', '/sys/fs/cgroup/*/memory.swap.max')
IO_FILES = ('/sys/fs/cgroup/blkio/*/blkio.throttle.write_bps_device', '/sys/fs/cgroup/*/io.max')
LIMIT = 300  # seconds of one run


def may_raise(what):
    """Whether a process here could be given more than it has."""
    soft, hard = resource.getrlimit(what)
    try:
        resource.setrlimit(what, (soft, hard + 1))
        resource.setrlimit(what, (soft, hard))
    except ValueError:
        return False
    return True


def why_no_io():
    """Why limits of disks cannot be seen here, or ''."""
    if not any(map(glob.glob, IO_FILES)):
        return 'this kernel gives no controller of input and output'
    kind = subprocess.run(['stat', '-f', '-c', '%T', tempfile.gettempdir()], stdout=subprocess.PIPE, check=True, text=True)
    is_disk = kind.stdout.startswith(('ext', 'xfs'))
    return '' if is_disk else f'{tempfile.gettempdir()} lies on no disk'


@dataclass
class Result:
    red: set = field(default_factory=set)
    failure: str = ''  # no probe could run


class Lab:
    """Programs of one build. A run is made once."""

    def __init__(self, repository, build):
        self.repository, self.build = repository, os.path.abspath(build)
        self.bin = os.path.join(self.build, 'bin')
        self.runs = {}

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='aisbx-mutate.')
        os.chmod(self.dir, 0o755)
        if not os.access(os.path.join(self.bin, 'aisbx'), os.X_OK):
            sys.exit(f'{self.bin}/aisbx is not there: ./dev build mutate')
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)

    @staticmethod
    def reason_to_skip(row):
        if row.needs == 'root' or row.probes[0] in ('escape', 'execs', 'program', 'copies', 'script'):
            if os.getuid() != 0:
                return 'only root can run these probes'
        if row.needs == 'swap':
            return '' if any(map(glob.glob, SWAP_FILES)) else 'this kernel counts no swap'
        if row.needs == 'io':
            return why_no_io()
        if row.needs not in ('', 'root') and not may_raise(getattr(resource, 'RLIMIT_' + row.needs)):
            return f'nothing here may raise RLIMIT_{row.needs}, so its own limit hides it'
        return ''

    def run(self, probes, off):
        key = (probes, off)
        if key not in self.runs:
            kind = {'escape': self._escape, 'execs': self._execs, 'egress': self._egress, 'program': self._program,
                    'copies': self._copies, 'script': self._script}[probes[0]]
            self.runs[key] = kind(off, *probes[1:])
        return self.runs[key]

    def _start(self, off, argv, **more):
        env = dict(os.environ, **more, AISBX_MUTATE=off, AISBX_CONFIG_PATH=os.path.join(HERE, 'open.yaml'),
                    AISBX_BIN=self.bin, AISBX_SOURCE=self.repository)
        try:
            done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT,
                                  stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            return None, f'no end within {LIMIT} s'
        return done.returncode, done.stdout.decode('utf-8', 'replace')

    def _escape(self, off, options, names):
        return self._battery(off, names, [os.path.join(self.bin, 'aisbx'), 'run', *options, '--'])

    def _execs(self, off, options, names):
        return self._battery(off, names, [os.path.join(self.repository, 'tests/escape/in-exec'),
                                          os.path.join(self.bin, 'aisbx'), 'strict', '{dir}', *options, '--'])

    def _battery(self, off, names, command):
        verdicts = os.path.join(self.dir, 'verdicts')
        if os.path.exists(verdicts):
            os.unlink(verdicts)
        argv = [os.path.join(self.repository, 'tests/escape/run'), '--json', verdicts, '--program',
                os.path.join(self.build, 'tests/escape/sbx-probes')]
        argv += [word for name in names for word in ('--only', name)]
        argv += ['--', *command]
        _, text = self._start(off, argv)
        if not os.path.exists(verdicts):
            return Result(failure='no sandbox: ' + (text.strip().splitlines() or ['nothing said'])[-1][:160])
        with open(verdicts, encoding='utf-8') as file:
            rows = json.load(file)['results']
        silent = [row['name'] for row in rows if row['verdict'] in ('NONE', 'N/A')]
        failure = f'no verdict: {", ".join(silent)}' if len(silent) == len(rows) else ''
        return Result({row['name'] for row in rows if row['verdict'] == 'LEAKED'}, failure)

    def _egress(self, off, script, words):
        argv = [sys.executable, os.path.join(self.repository, 'tests/integration/egress', script), *words]
        status, text = self._start(off, argv)
        red = set(re.findall(r'^(?:LEAKED|FAILED) +([^:\n]+)', text, re.M))
        return Result(red, '' if status == 0 or red else text.strip()[-160:])

    def _copies(self, off, name, tests):
        return self._program(off, name, tests, AISBX_TEST_SNAPSHOTS='copy')

    def _program(self, off, name, tests, **more):
        status, text = self._start(off, [os.path.join(self.build, 'tests/bin', name)], **more)
        passed, red = (set(re.findall(rf'^\[ {word} \] (?:\w+: )?([a-z]\w+)$', text, re.M)) & set(tests)
                       for word in ('      OK', ' FAILED '))
        return Result(red, '' if passed | red == set(tests) else text.strip()[-160:])

    def _script(self, off, path, complaints):
        status, text = self._start(off, [os.path.join(self.repository, 'tests', path), 'root'])
        red = {complaint for complaint in complaints if status != 0 and complaint in text}
        return Result(red, '' if status == 0 or red else text.strip()[-160:])
