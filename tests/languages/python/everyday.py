"""What popular packages stand on: each function is one need, and its name is printed when it is not met."""
import asyncio
import ctypes
import datetime
import functools
import http.server
import importlib.util
import locale
import mmap
import multiprocessing
import multiprocessing.shared_memory
import os
import pathlib
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import traceback
import urllib.request
import venv
import zipfile
import zoneinfo


def double(queue, n):
    queue.put(n * 2)


def processes_by_each_method():
    for method in ("spawn", "fork", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=double, args=(queue, 21))
        process.start()
        assert queue.get(timeout=60) == 42, method
        process.join()
        assert process.exitcode == 0, method


def fill(name, semaphore, barrier):
    memory = multiprocessing.shared_memory.SharedMemory(name)
    memory.buf[0] = 7
    memory.close()
    semaphore.release()
    barrier.wait(60)


def shared_memory_and_semaphores():
    context = multiprocessing.get_context("spawn")
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=1 << 20)
    semaphore, barrier = context.Semaphore(0), context.Barrier(2)
    process = context.Process(target=fill, args=(memory.name, semaphore, barrier))
    process.start()
    assert semaphore.acquire(timeout=60) and memory.buf[0] == 7
    barrier.wait(60)
    process.join()
    memory.close()
    memory.unlink()
    with multiprocessing.Manager() as manager:
        assert list(manager.list([1, 2])) == [1, 2]


def asyncio_with_processes_and_sockets():
    async def work():
        process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        assert (await process.communicate(b"echo"))[0] == b"echo"

        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        for start, connect in (
            (functools.partial(asyncio.start_server, answer, "127.0.0.1", 0), None),
            (functools.partial(asyncio.start_unix_server, answer, "/tmp/answer"), "/tmp/answer"),
        ):
            server = await start()
            reader, writer = (await asyncio.open_unix_connection(connect) if connect else
                              await asyncio.open_connection(*server.sockets[0].getsockname()))
            writer.write(b"hello\n")
            assert await reader.read() == b"hello\n"
            writer.close()
            server.close()
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(heard.wait(), 60)
        assert await asyncio.to_thread(os.getpid) == os.getpid()

    asyncio.run(work())


def databases_with_a_write_ahead_log():
    for folder in (pathlib.Path.cwd(), pathlib.Path(tempfile.mkdtemp())):
        path = folder / "wal.db"
        with sqlite3.connect(path) as writer, sqlite3.connect(path) as reader:
            assert writer.execute("pragma journal_mode=wal").fetchone() == ("wal",)
            writer.execute("create table t (n)")
            writer.execute("insert into t values (1)")
            writer.commit()
            assert (folder / "wal.db-shm").exists()
            assert reader.execute("select n from t").fetchone() == (1,)


def mapped_files():
    with open("mapped", "w+b") as file:
        file.truncate(1 << 20)
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        with mmap.mmap(file.fileno(), 0) as memory:
            memory[:5] = b"hello"
            memory.madvise(mmap.MADV_DONTNEED)
            memory.flush()
        assert pathlib.Path("mapped").read_bytes()[:5] == b"hello"
    fd = os.memfd_create("anonymous")
    os.truncate(fd, 4096)
    mmap.mmap(fd, 4096).close()
    mmap.mmap(-1, 1 << 20, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def closures_of_libffi():
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 4)(3, 1, 4, 2)
    libc.qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    assert list(numbers) == [1, 2, 3, 4]


def wheel():
    """A small package, built by hand."""
    path = pathlib.Path("dist")
    path.mkdir(exist_ok=True)
    files = {
        "parcel.py": "def main():\n    print('parcel works')\n",
        "parcel-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n",
        "parcel-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "parcel-1.0.dist-info/entry_points.txt": "[console_scripts]\nparcel = parcel:main\n",
    }
    with zipfile.ZipFile(path / "parcel-1.0-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("parcel-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in files))
    return path


def environments_and_wheels():
    has_pip = importlib.util.find_spec("ensurepip") is not None
    venv.create("env", with_pip=has_pip, symlinks=True)
    assert subprocess.check_output(["env/bin/python", "-c", "import sys; print(sys.prefix)"],
                                   text=True).strip() == os.path.abspath("env")
    if has_pip:
        subprocess.run(["env/bin/pip", "install", "--quiet", "--no-index", "--find-links", wheel(), "parcel"],
                       check=True)
        assert subprocess.check_output(["env/bin/parcel"], text=True) == "parcel works\n"


def a_home_for_caches():
    home = pathlib.Path.home()
    cache = home / ".cache" / "matplotlib"
    cache.mkdir(parents=True)
    (cache / "fontlist.json").write_text("{}")
    os.replace(cache / "fontlist.json", cache / "fontlist-v1.json")
    with tempfile.TemporaryDirectory() as folder:
        os.symlink("nowhere", os.path.join(folder, "link"))


def places_and_times():
    if os.path.exists("/usr/share/zoneinfo"):
        berlin = zoneinfo.ZoneInfo("Europe/Berlin")
        assert berlin.utcoffset(datetime.datetime(2024, 7, 1)) == datetime.timedelta(hours=2)
    locale.setlocale(locale.LC_ALL, "")
    assert locale.getpreferredencoding().upper() == "UTF-8" and sys.getfilesystemencoding() == "utf-8"
    pathlib.Path("smörgås.txt").write_text("ü")
    assert "smörgås.txt" in os.listdir()


def a_server_on_loopback():
    for name in ("127.0.0.1", "localhost"):
        server = http.server.ThreadingHTTPServer((name, 0), http.server.SimpleHTTPRequestHandler)
        server.RequestHandlerClass.log_message = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://{name}:{server.server_port}/", timeout=60) as answer:
            assert answer.status == 200
        server.shutdown()
        server.server_close()
    process = subprocess.Popen([sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = process.stdout.readline().split(" port ")[1].split()[0]
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/everyday.py", timeout=60).read(3) == b'"""'
    process.terminate()
    assert process.wait() == -signal.SIGTERM


def signals_and_timers():
    heard = []
    for number in (signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, lambda number, _: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while signal.SIGALRM not in heard:
        signal.pause()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.kill(os.getpid(), signal.SIGUSR2)
    assert signal.sigtimedwait([signal.SIGUSR2], 60).si_signo == signal.SIGUSR2
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    fd = os.pidfd_open(os.getpid())
    signal.pidfd_send_signal(fd, 0)
    assert os.sched_getaffinity(0) and os.cpu_count()
    os.nice(1)


def terminals():
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", "test -t 0 && stty size && tty"])
    text = b""
    while select.select([master], [], [], 60)[0]:
        try:
            text += os.read(master, 1000)
        except OSError:
            break
    assert os.waitpid(pid, 0)[1] == 0 and b"/dev/pts/" in text, text


def numbers_and_pictures():
    """Where they are installed."""
    if importlib.util.find_spec("numpy"):
        import numpy
        assert round(numpy.linalg.inv(numpy.eye(200) * 2)[1, 1], 6) == 0.5
        numpy.save("numbers.npy", numpy.arange(1000))
        assert numpy.load("numbers.npy", mmap_mode="r")[999] == 999
    if importlib.util.find_spec("matplotlib"):
        import matplotlib.pyplot
        matplotlib.pyplot.plot([1, 2, 3])
        matplotlib.pyplot.savefig("picture.png")
        assert pathlib.Path("picture.png").stat().st_size > 1000


NEEDS = [processes_by_each_method, shared_memory_and_semaphores, asyncio_with_processes_and_sockets,
         databases_with_a_write_ahead_log, mapped_files, closures_of_libffi, environments_and_wheels, a_home_for_caches,
         places_and_times, a_server_on_loopback, signals_and_timers, terminals, numbers_and_pictures]


def main():
    missed = 0
    for need in NEEDS:
        try:
            need()
        except Exception:
            missed += 1
            print(f"python: {need.__name__}: {traceback.format_exc()}")
    if not missed:
        print(f"python has {len(NEEDS)} everyday needs met")
    return missed != 0


if __name__ == "__main__":
    sys.exit(main())
