# Runs pieces of code in one namespace, for service/worker/context/frame.h. Descriptor 3 leads to the
# worker: code comes in, each piece ends with a NUL; frames go out. Output goes to 1 and 2 as ever.
import sys

sys.path.pop(0)  # what lies in the working directory shadows nothing that is needed here

import ast
import builtins
import linecache
import os
import signal
import threading
import traceback
import types

FD = 3
PID = os.getpid()
MAX_DATA = 1 << 20  # bytes of one form of a value
MAX_LINES = 200  # of a traceback
MAX_LINE = 1000  # characters of one
MAX_TEXT = 4000  # characters of an error's value
FUTURES = 0x1FF0000  # flags of `from __future__ import`
COROUTINE = 0x80
MAIN, OTHER_FORM = 1, 2  # flags of a result
FORMS = (
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
)


def send(kind, *parts):
    if os.getpid() != PID:
        return  # a child that the code forked runs the rest of the piece, too
    payload = b"".join(parts)
    data = memoryview(kind + len(payload).to_bytes(4, "little") + payload)
    while data:
        data = data[os.write(FD, data) :]


def may_show():
    return os.getpid() == PID and threading.current_thread() is threading.main_thread()


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    if "ctypes" in sys.modules:  # whoever has it may have made C print something
        try:
            sys.modules["ctypes"].CDLL(None).fflush(None)
        except Exception:
            pass


# ---- values ----


def to_bytes(mime, data):
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, str):
        if mime.startswith("image/") and mime != "image/svg+xml":
            import base64

            return base64.b64decode(data)
        return data.encode("utf-8", "backslashreplace")
    import json

    return json.dumps(data, default=str).encode()


def png_of(figure):
    import io

    out = io.BytesIO()
    figure.savefig(out, format="png", bbox_inches="tight")
    return out.getvalue()


def is_figure(value):
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(value, getattr(module, "Figure", ()))


def forms_of(value):
    if is_figure(value):
        yield "image/png", png_of(value)
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            pyplot.close(value)  # shown once
    elif not isinstance(value, type):
        bundle = getattr(value, "_repr_mimebundle_", None)
        if callable(bundle):
            data = bundle()
            data = data[0] if isinstance(data, tuple) else data
            yield from (data or {}).items()
        for mime, name in FORMS:
            method = getattr(value, name, None)
            if callable(method):
                data = method()
                data = data[0] if isinstance(data, tuple) else data
                if data is not None:
                    yield mime, data
    yield "text/plain", repr(value)


def show(value, flags=0):
    flush()
    seen = set()
    forms = forms_of(value)
    while True:
        try:
            mime, data = next(forms)
            data = to_bytes(mime, data)
        except StopIteration:
            return
        except Exception as error:
            if "text/plain" in seen:
                return
            mime, data = "text/plain", f"<{type(value).__name__}: {type(error).__name__} in its repr>".encode()
        if len(data) > MAX_DATA:
            size, mime = f"{mime} of {len(data)} bytes", "text/plain"
            data = f"<{size}: more than the {MAX_DATA} that a result may have; write it to a file>".encode()
        if mime not in seen:
            seen.add(mime)
            name = mime.encode()
            send(b"R", bytes([flags, len(name)]), name, data)
            flags |= OTHER_FORM


def display(*values):
    """Shows values as results of this piece, in all forms that they have."""
    for value in values:
        if may_show():
            show(value)
        else:
            print(repr(value), flush=True)


def show_figures():
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        for number in pyplot.get_fignums():
            show(pyplot.figure(number))


class Backend:
    """Figures are files here, from the moment that somebody imports matplotlib."""

    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib":
            os.environ.setdefault("MPLBACKEND", "Agg")
            sys.meta_path.remove(self)


def no_input(prompt=""):
    raise EOFError("there is nothing to read: a context has no standard input; write the values into the code")


# ---- errors ----


def text_of(error):
    try:
        return str(error)[:MAX_TEXT]
    except Exception:
        return "<its str() failed>"


def without_us(tb):
    if tb is None:
        return None
    if tb.tb_frame.f_globals is globals():
        return without_us(tb.tb_next)
    return types.TracebackType(without_us(tb.tb_next), tb.tb_frame, tb.tb_lasti, tb.tb_lineno)


def lines_of(kind, error, tb):
    while tb is not None and not tb.tb_frame.f_code.co_filename.startswith("<piece "):
        tb = tb.tb_next
    try:
        tb = without_us(tb)
        lines = "".join(traceback.format_exception(kind, error, tb)).splitlines()
    except Exception:
        lines = [f"{kind.__name__}: {text_of(error)}"]
    if len(lines) > MAX_LINES:
        half = MAX_LINES // 2
        lines[half : len(lines) - half] = [f"  [{len(lines) - MAX_LINES} lines more]"]
    return [line[:MAX_LINE] for line in lines]


def tell_error():
    kind, error, tb = sys.exc_info()
    flush()
    parts = [kind.__name__, text_of(error), *lines_of(kind, error, tb)]
    texts = (part.replace("\0", "\\0").encode("utf-8", "backslashreplace") for part in parts)
    send(b"E", b"\0".join(texts))


# ---- pieces ----

space = types.ModuleType("__main__")
space.__builtins__ = builtins
flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
loop = None
is_running = False


def on_interrupt(number, frame):
    if is_running:
        raise KeyboardInterrupt


def wait(coroutine):
    global loop
    import asyncio

    if loop is None or loop.is_closed():
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        task.cancel()
        if not loop.is_closed():
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        raise


def run(code):
    global flags
    flags |= code.co_flags & FUTURES
    value = eval(code, space.__dict__)
    return wait(value) if code.co_flags & COROUTINE else value


def run_piece(source, name):
    tree = compile(source, name, "exec", flags | ast.PyCF_ONLY_AST, True)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        last = ast.Expression(tree.body.pop().value)
    run(compile(tree, name, "exec", flags, True))
    if last is not None:
        value = run(compile(last, name, "eval", flags, True))
        if value is not None:
            builtins._ = value
            show(value, MAIN)
    show_figures()


def leave_child(status):
    """A child that the code forked came to the end of the piece, like its parent."""
    flush()
    os._exit(status)


def on_piece(source, number):
    global is_running
    name = f"<piece {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    signal.signal(signal.SIGINT, on_interrupt)
    status = 0
    try:
        is_running = True
        run_piece(source, name)
        is_running = False
    except SystemExit:
        is_running = False
        flush()
        raise
    except BaseException:
        is_running = False
        status = 1
        if os.getpid() != PID:
            traceback.print_exc()
            leave_child(1)
        tell_error()
    if os.getpid() != PID:
        leave_child(0)
    flush()
    send(b"D", status.to_bytes(4, "little"))


def pieces():
    waiting = b""
    while True:
        source, end, rest = waiting.partition(b"\0")
        if end:
            waiting = rest
            yield source.decode()
            continue
        data = os.read(FD, 1 << 16)
        if not data:
            return
        waiting += data


def main():
    os.set_inheritable(FD, False)
    signal.signal(signal.SIGINT, on_interrupt)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)
    builtins.display = display
    builtins.input = no_input
    sys.modules["__main__"] = space
    sys.meta_path.insert(0, Backend())
    sys.argv[:] = [""]
    sys.path.insert(0, "")
    send(b"H")
    for number, source in enumerate(pieces(), 1):
        on_piece(source, number)


main()
