"""Archives in memory, as hostile as wanted."""

import io
import tarfile

KINDS = {"dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "link": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE,
         "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "odd": b"Q"}


def tar(members, format=tarfile.PAX_FORMAT):
    """Of (name, content, fields): content is bytes, or a word of KINDS."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, content, fields in members:
            info = tarfile.TarInfo(name)
            is_file = isinstance(content, bytes)
            info.type = tarfile.REGTYPE if is_file else KINDS[content]
            info.size = len(content) if is_file else 0
            info.mode = 0o755 if content == "dir" else 0o644
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if is_file else None)
    return out.getvalue()


def head(name, size):
    """The headers of one file, and none of the data they promise."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT)
