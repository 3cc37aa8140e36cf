"""tampered.py BIN DIR: the chain of a real worker holds, and shows what was done to a copy of it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess

from rig import BIN, DIR, TEXTS, Worker, call, chain, children, must_verify, rows, until, verify

FORGED = '{"sequence":1,"time":"2000-01-01T00:00:00.000Z","actor":"uid:0","action":"forged","outcome":"allowed","hash":"00"}'
HOSTILE = [
    "a\n" + FORGED + "\n", 'quote " \\" \\\\" }', "\r\n\x1b[2J\x1b]0;title\x07", "\u2028" + FORGED + "\u2029\u0085\u009b31m", '"},' + FORGED + ',{"',
    "x" * 5000, "\x7f\b\t\v\f", "日本語 \U0001f600 \u202e",
]


def is_one_line_each(data, records):
    lines = data.split(b"\n")
    assert lines.pop() == b"" and len(lines) == len(records), (len(lines), len(records))
    assert not any(byte < 32 or byte == 127 for line in lines for byte in line), "control characters"
    return [json.loads(line) for line in lines]


def copy_of(file, name, *statements):
    """A database of its own with what is in that one, changed."""
    path = DIR / f"{name}.db"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as source, sqlite3.connect(path) as target:
        source.backup(target)
        for statement in statements:
            target.execute(*statement) if isinstance(statement, tuple) else target.execute(statement)
    return path


def do_things(worker):
    """Of all kinds, with texts that a caller chose."""
    (DIR / "file").write_text("content")
    box = worker.must("create", "--profile", "strict", "--no-workspace")
    for text in HOSTILE:
        worker.must("exec", box, "true", text)
        worker.aisbx("cp", str(DIR / "file"), f"{box}:/workspace/{text.replace('/', '')[:100]}")
        worker.aisbx("create", "--no-workspace", "--profile", "strict", "--label", f"{text[:40]}=x")
    for number in range(3):
        worker.must("run", "--no-workspace", "--profile", "strict", "--", "echo", str(number))
    worker.must("destroy", "--all")
    return box


def check_lists(worker, box):
    """What the worker tells is what the database holds; no text makes a line, or another record."""
    whole = worker.audit("export")
    records = rows(worker.db)
    assert [record[0] for record in records] == list(range(1, len(records) + 1))
    assert [record[-1] for record in records] == list(chain(records)), "the hashes are not as trail/record.h says"
    exported = is_one_line_each(whole, records)
    for line, record in zip(exported, records):
        got = [line.get(name, "") for name in TEXTS[:-1]]
        assert (line["sequence"], got, line["hash"]) == (record[0], list(record[2:9]), record[-1].hex()), (line, record)
        assert line.get("detail", "") == (json.loads(record[9]) if record[9] else ""), line
    told = [text for line in exported for text in line["detail"].get("exec.command.args", [])]
    assert HOSTILE[0] in told and HOSTILE[4] in told, "the record says otherwise than it was"
    assert "forged" not in [line["action"] for line in exported]
    assert any(line["action"] == "file.write" and "\n" in json.dumps(line["detail"]).encode().decode("unicode_escape") for line in exported), "no name with a newline"

    assert call("aisbx-security", "audit", "export", str(worker.db)).stdout == whole
    worker.audit("export", "--format", "jsonl", "-o", str(DIR / "out"))
    assert (DIR / "out").read_bytes() == whole and (DIR / "out").stat().st_mode & 0o77 == 0
    assert json.loads(worker.audit("query", "--limit", "100000", "--json")) == exported[::-1]
    text = worker.audit("tail", "-n", "1000")
    lines = text.decode().split("\n")
    assert lines.pop() == "" and [int(line.split(" ")[0]) for line in lines] == [record[0] for record in records]
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for line in lines for char in line), "control characters"
    assert worker.audit("tail", "-n", "3", "--json").splitlines() == whole.splitlines()[-3:]

    of_box = [line for line in exported if line.get("sandbox_id") == box]
    assert of_box and json.loads(worker.audit("query", "--sandbox", box, "--limit", "1000", "--json")) == of_box[::-1]
    execs = [line for line in exported if line["action"].split(".")[0] == "exec"]
    assert execs and [json.loads(line) for line in worker.audit("export", "--action", "exec").splitlines()] == execs
    for action in {line["action"] for line in exported}:
        assert json.loads(worker.audit("query", "--action", action, "--json")), f"{action} is written down, and nobody can ask for it"
    wrong = call("aisbx-security", "audit", "export", "--action", "nope", str(worker.db))
    assert wrong.returncode == 2 and b"there are admin, audit, auth" in wrong.stderr, wrong
    middle = exported[len(exported) // 2]["time"]
    parts = [worker.audit("export", option, middle).splitlines() for option in ("--until", "--since")]
    assert parts[0] + parts[1] == whole.splitlines() and parts[1], "--since begins where --until ends"
    assert worker.audit("query", "--until", "1d") == b"" and json.loads(worker.audit("query", "--since", "1ms", "--until", "1d", "--json")) == []


def check_follows(worker):
    process = subprocess.Popen([f"{BIN}/aisbx-security", "--address", worker.address, "audit", "tail", "-f", "-n", "1", "--json", "--action", "sandbox.create"],
                               stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        seen = json.loads(process.stdout.readline())["sequence"]
        box = worker.must("create", "--profile", "strict", "--no-workspace")
        worker.must("exec", box, "true")
        two = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [line["outcome"] for line in two] == ["allowed", "ended"] and two[0]["sequence"] > seen and two[1]["sandbox_id"] == box, two
        worker.must("destroy", box)
        process.stdout.close()  # nobody reads any more
        until("tail ends", lambda: process.poll() is not None)
        assert process.returncode == 0, process.returncode
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def check_tampered(file):
    """Each change is found, and where."""
    good = must_verify(file)
    records = rows(file)
    n = good["records"]
    assert (n, good["first"], good["head"]) == (len(records), 1, f"{n}:{records[-1][-1].hex()}"), good
    at = n // 2
    flipped = bytes(byte ^ (number == 7) for number, byte in enumerate(records[at - 1][-1]))
    changes = {
        "hash": (at, [("UPDATE audit SET hash = ? WHERE sequence = ?", (flipped, at))]),
        "time": (at, [f"UPDATE audit SET time_ms = time_ms + 1 WHERE sequence = {at}"]),
        "deleted": (at, [f"DELETE FROM audit WHERE sequence = {at}"]),
        "first": (1, ["DELETE FROM audit WHERE sequence = 1"]),
        "closed-up": (at, [f"DELETE FROM audit WHERE sequence = {at}", f"UPDATE audit SET sequence = sequence - 1 WHERE sequence > {at}"]),
        "cut": (n - 2, [f"DELETE FROM audit WHERE sequence > {n - 3}"]),
        "all": (1, ["DELETE FROM audit"]),
        "added": (n + 1, [f"INSERT INTO audit SELECT sequence + 1, time_ms, {', '.join(TEXTS)}, hash FROM audit WHERE sequence = {n}"]),
        "swapped": (at, [f"UPDATE audit SET sequence = -1 WHERE sequence = {at}", f"UPDATE audit SET sequence = {at} WHERE sequence = {at + 1}",
                         f"UPDATE audit SET sequence = {at + 1} WHERE sequence = -1"]),
    }
    for name in TEXTS:
        changes[name] = (at, [f"UPDATE audit SET {name} = 'X' || substr({name}, 2) WHERE sequence = {at}"])
    changes["moved"] = (at, [f"UPDATE audit SET actor = actor || 'x', tenant = substr(tenant, 2) WHERE sequence = {at}"])
    for name, (broken, statements) in changes.items():
        status, said = verify(copy_of(file, name, *statements))
        assert status == 1 and not said["good"] and said["broken"] == broken and said["why"], (name, broken, status, said)
        text = call("aisbx-security", "audit", "verify", str(DIR / f"{name}.db"))
        assert text.returncode == 1 and f": record {broken} is the first" in text.stdout.decode(), text

    # Cut with care: only who noted a head elsewhere can know. The worker's log does.
    last = records[-4]
    neat = copy_of(file, "neat", f"DELETE FROM audit WHERE sequence > {last[0]}", ("UPDATE audit_head SET sequence = ?, hash = ?", (last[0], last[-1])))
    must_verify(neat)
    must_verify(file, "--head", good["head"])
    status, said = verify(neat, "--head", good["head"])
    assert status == 1 and said["broken"] == last[0] + 1, said
    status, said = verify(file, "--head", f"{at}:{'0' * 64}")
    assert status == 1 and said["broken"] == at, said
    assert f"sequence={n} hash={records[-1][-1].hex()}" in (DIR / "worker.log").read_text(errors="replace"), "the log lacks the head"

    # What somebody wrote there is shown on a line of its own, too.
    evil = copy_of(file, "evil", ("UPDATE audit SET detail = ?, actor = ? WHERE sequence = ?", (f'{{"a":\n{FORGED}}}', f"x\n{FORGED}\n", at)))
    assert is_one_line_each(call("aisbx-security", "audit", "export", str(evil)).stdout, records)[at - 1]["sequence"] == at

    # Where nothing can be written, under any name.
    locked = DIR / "locked ?#%41 é"
    locked.mkdir()
    at_rest = shutil.copy(copy_of(file, "at-rest", "PRAGMA journal_mode = WAL"), locked / "a?mode=rwc#%41.db")
    locked.chmod(0o500)
    try:
        assert must_verify(at_rest)["records"] == n
        assert os.getuid() == 0 or os.listdir(locked) == ["a?mode=rwc#%41.db"]
    finally:
        locked.chmod(0o700)

    # No database at all, half of one, none with an audit.
    (DIR / "text.db").write_text("no database " * 1000)
    (DIR / "half.db").write_bytes(copy_of(file, "half-of").read_bytes()[: 4096 * 3])
    sqlite3.connect(DIR / "empty.db").execute("CREATE TABLE x (y)").connection.close()
    for name in ("text", "half", "empty", "absent"):
        status, said = verify(DIR / f"{name}.db")
        assert status == 1 and not (isinstance(said, dict) and said.get("good")), (name, said)


def wake(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def check_killed(state):
    """The worker dies when the intent is on the disk and the program has not begun: its spawner does not answer."""
    work = DIR / "work"
    work.mkdir()
    work.chmod(0o777)
    with Worker(state) as worker:
        spawner = until("a spawner", lambda: [pid for pid in children(worker.process.pid) if "spawner" in open(f"/proc/{pid}/comm", encoding="ascii").read()])[0]
        worker.must("run", "--profile", "python-dev", "-w", str(work), "--", "touch", "/workspace/could")
        assert (work / "could").exists()
        before = len(rows(worker.db))
        os.kill(spawner, signal.SIGSTOP)
        client = subprocess.Popen([f"{BIN}/aisbx", "--address", worker.address, "run", "--profile", "python-dev", "-w", str(work), "--", "touch", "/workspace/ran"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until("the intent is kept", lambda: [row for row in rows(worker.db) if "/workspace/ran" in row[9]])
            worker.process.kill()
            worker.process.wait()
            wake(spawner, signal.SIGCONT)  # what it was told meanwhile must not count
            assert client.wait(60) == 125, client.returncode
            until("the spawner ends", lambda: not os.path.exists(f"/proc/{spawner}") or open(f"/proc/{spawner}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[0] == "Z")
        finally:
            for pid in (client, worker.process):
                if pid.poll() is None:
                    pid.kill()
                    pid.wait()
            wake(spawner, signal.SIGKILL)
    with Worker(state) as worker:
        worker.must("run", "--profile", "strict", "--no-workspace", "--", "true")
        must_verify(worker.db)
        mine = [row for row in rows(worker.db)[before:] if "/workspace/ran" in row[9]]
        assert [(row[4], row[5]) for row in mine] == [("exec.start", "allowed")], mine
    assert not (work / "ran").exists(), "it ran"
    must_verify(state / "aisbx.db")


STATE = DIR / "state"
with Worker(STATE) as first:
    made = do_things(first)
    check_lists(first, made)
    check_follows(first)
    must_verify(first.db)  # while it runs
check_tampered(STATE / "aisbx.db")
check_killed(STATE)
shutil.rmtree(DIR / "work")
