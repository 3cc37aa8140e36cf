# Waits for a program, and runs it as "python3 -c" would: service/worker/pool/warm.h. Descriptor 3 leads to the
# worker: this says "r", then the source and its arguments come, each with a NUL behind it, and the end of file.
def _run():
    import posix
    import sys

    posix.write(3, b"r")
    parts = []
    while part := posix.read(3, 1 << 16):
        parts.append(part)
    posix.close(3)
    source, *arguments = b"".join(parts).decode("utf-8", "surrogateescape").split("\0")[:-1]
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
