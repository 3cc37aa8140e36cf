# Waits for a program, and runs it as "python3 -c" would: service/worker/pool/warm.h. Descriptor 3 leads to the
# worker: this says which of the modules that are its arguments it has not imported, then "r", then what goes into
# TRACEPARENT and TRACESTATE, the source and its arguments come, each with a NUL behind it, and the end of file.
def _run():
    import posix
    import sys

    names = sys.argv[1:]
    known = set(sys.modules)

    def preload():
        """Nothing of the program's is found there, and who prints or fails is not imported."""
        ours, theirs = posix.pipe()
        posix.set_blocking(ours, False)
        posix.set_blocking(theirs, False)
        streams = posix.dup(1), posix.dup(2)
        posix.dup2(theirs, 1)
        posix.dup2(theirs, 2)
        first = sys.path.pop(0)
        for i, name in enumerate(names):
            is_clean = True
            try:
                name and __import__(name)
                sys.stdout.flush()
                sys.stderr.flush()
                is_clean = not posix.read(ours, 1)
            except BlockingIOError:
                pass
            except ModuleNotFoundError as error:
                is_clean = f"{name}.".startswith(f"{error.name}.")
                if is_clean:
                    posix.write(3, bytes([128 + i]))
            except BaseException:
                is_clean = False
            if not is_clean:
                break
        posix.dup2(streams[0], 1)
        posix.dup2(streams[1], 2)
        for fd in (ours, theirs, *streams):
            posix.close(fd)
        sys.path.insert(0, first)
        if not is_clean:
            posix.write(3, bytes([128 + i]))
            names[i] = ""
            posix.execv(sys.executable, [*sys.orig_argv[:3], *names])

    def finds_others():
        """One that is started now has other modules: of its directory, or its user's."""
        site = sys.modules["site"]
        if site.ENABLE_USER_SITE and site.USER_SITE not in sys.path and posix.access(site.USER_SITE, posix.F_OK):
            return True
        try:
            return bool(ours) and any(entry.partition(".")[0] in ours for entry in posix.listdir("."))
        except OSError:
            return True

    def rehearse():
        """The way a program goes, and memory for what it and the interpreter's end make, so that neither meets pages
        that are not there yet. malloc keeps up to 128 KiB that nobody has."""
        code = compile("def f(x):\n    return [x, {}]\n\nprint(end='')\nf(1)\n", "<string>", "exec")
        exec(code, {"__name__": "rehearsal"})
        return [bytes(2000) for _ in range(56)], [bytes(40) for _ in range(1500)]

    if names:
        preload()
    ours = {name.partition(".")[0] for name in sys.modules if name not in known}
    rehearse()
    posix.write(3, b"r")
    parts = []
    while part := posix.read(3, 1 << 16):
        parts.append(part)
    posix.close(3)
    parent, state, source, *arguments = b"".join(parts).decode("utf-8", "surrogateescape").split("\0")[:-1]
    environ = sys.modules["os"].environ
    for name, value in ("TRACEPARENT", parent), ("TRACESTATE", state):
        if value:
            environ[name] = value
    if finds_others():
        posix.execv(sys.executable, [sys.orig_argv[0], "-c", source, *arguments])
    main = sys.modules["__main__"].__dict__
    del main["_run"]
    sys.argv[:] = ["-c", *arguments]
    sys.orig_argv[2:] = [source, *arguments]

    def hide(hook):
        """The program's own frames are all that its error shows."""

        def show(kind, value, trace):
            sys.excepthook = hook
            for _ in range(2):
                trace = trace and trace.tb_next
            value.__traceback__ = sys.last_traceback = trace
            hook(kind, value, trace)

        return show

    try:
        code = compile(source + "\n", "<string>", "exec")
        exec(code, main)
    except SystemExit:
        raise
    except BaseException:
        sys.excepthook = hide(sys.excepthook)
        raise


_run()
