#!/usr/bin/python3
"""Trees of files by FileService: search, replace, watch, archives. trees.py ADDRESS."""

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import unittest

import grpc

from archive import tar
from box import Box, Code, fs, main, path

KINDS = {fs.FILE_EVENT_KIND_CREATED: "+", fs.FILE_EVENT_KIND_CHANGED: "~", fs.FILE_EVENT_KIND_REMOVED: "-",
         fs.FILE_EVENT_KIND_OVERFLOW: "overflow", fs.FILE_EVENT_KIND_WATCHING: "watching"}


class Search(Box):
    def find(self, pattern, where=None, **more):
        replies = self.files.SearchFiles(fs.SearchFilesRequest(
            sandbox_id=self.box, directory=path(where or self.dir), pattern=pattern, **more), timeout=60)
        return sorted((reply.file.path[len(self.dir) + 1:], reply.line, reply.text) for reply in replies)

    def test_lines_that_match(self):
        self.sh(f"cd {self.dir}; mkdir -p a/b; printf 'one\\ntwo needle\\n' >a/x.py; printf 'Needle' >a/b/y.txt; "
                f"printf 'needle\\000' >binary; : >empty; ln -s x.py a/link")
        self.assertEqual(self.find("needle"), [("a/x.py", 2, b"two needle")])
        self.assertEqual(self.find("^needle$", ignore_case=True), [("a/b/y.txt", 1, b"Needle")])
        self.assertEqual(self.find("needle", glob="*.txt", ignore_case=True), [("a/b/y.txt", 1, b"Needle")])
        self.assertEqual(self.find("needle", glob="a/*.py"), [("a/x.py", 2, b"two needle")])
        self.assertEqual(self.find("o(ne|$)", where=f"{self.dir}/a"), [("a/x.py", 1, b"one")])
        self.assertEqual(self.find("two", where=f"{self.dir}/a/x.py"), [("a/x.py", 2, b"two needle")])
        self.assertEqual(self.find("^$"), [])

    def test_lines_across_pieces_long_lines_and_bounds(self):
        self.sh(f"cd {self.dir}; python3 -c '"
                "open(\"long\", \"w\").write(\"a\" * 200000 + \"END\\n\" + \"b\\n\" * 100000 + \"tail\"); "
                "open(\"many\", \"w\").write(\"hit\\n\" * 20000)'")
        self.assertEqual(self.find("END$"), [("long", 1, b"a" * 1024)])
        self.assertEqual(self.find("tail"), [("long", 100002, b"tail")])
        self.assertEqual(len(self.find("hit")), 100)
        self.assertEqual(len(self.find("hit", max_matches=10000)), 10000)
        self.assertEqual(self.find("hit", max_matches=1), [("many", 1, b"hit")])

    def test_what_cannot_be_searched_for(self):
        for pattern, text in (("", "missing"), ("(a", "parenthesis"), ("a{9", None), ("(a)\\1", "back-reference"),
                              ("[[:nope:]]", "class"), ("x" * 1025, "1024"), ("((((a{200}){200}){200}){200})", "large")):
            if text:
                self.assertIn(text, self.refused(Code.INVALID_ARGUMENT, self.find, pattern))
        self.refused(Code.INVALID_ARGUMENT, self.find, "a", max_matches=10001)
        self.refused(Code.NOT_FOUND, self.find, "a", where=f"{self.dir}/none")

    def test_a_pattern_and_a_text_that_want_to_take_forever(self):
        self.sh(f"cd {self.dir}; python3 -c 'open(\"a\", \"w\").write(\"a\" * 1000000)'")
        self.assertEqual(self.find("(a*)*(a|aa)*(a?){50}b"), [])
        self.assertEqual(self.find("(a|b)*a(a|b){60}c"), [])

    def test_names_that_are_not_utf8_and_links_that_lead_round(self):
        self.write(self.dir.encode() + b"/caf\xe9\n", b"hit\n")
        self.sh(f"cd {self.dir}; mkdir d; ln -s .. d/up; ln -s /etc/passwd d/p; mkfifo d/fifo")
        replies = list(self.files.SearchFiles(fs.SearchFilesRequest(
            sandbox_id=self.box, directory=path(self.dir), pattern="hit|root"), timeout=60))
        self.assertEqual([reply.file.raw_path for reply in replies], [self.dir.encode() + b"/caf\xe9\n"])


class Replace(Box):
    def replace(self, name, find, replacement, **more):
        return self.files.ReplaceInFile(fs.ReplaceInFileRequest(
            sandbox_id=self.box, file=path(name), find=find, replacement=replacement, **more), timeout=60).replaced

    def test_every_place_and_the_mode_stays(self):
        name = f"{self.dir}/f"
        self.write(name, b"aXbXXc\nX", mode=0o750)
        self.assertEqual(self.replace(name, b"X", b"--"), 4)
        self.assertEqual((self.read(name), self.stat(name).mode), (b"a--b----c\n--", 0o750))
        self.assertEqual(self.replace(name, b"--", b""), 4)
        self.assertEqual(self.read(name), b"abc\n")
        self.assertEqual(self.replace(name, b"none", b"x"), 0)
        self.assertEqual(self.names(self.dir), ["f"])

    def test_finds_do_not_overlap_and_beginnings_are_given_back(self):
        name = f"{self.dir}/f"
        for text, find, put in ((b"aaaaa", b"aa", b"b"), (b"ababac", b"abac", b"X"), (b"aabaabaaf" * 3, b"aabaaf", b"!"),
                                (b"x" * 70000 + b"y", b"xxy", b"Z"), (b"ab", b"abc", b"no"), (b"\0\xff\0", b"\xff\0", b"k")):
            self.write(name, text)
            self.replace(name, find, put)
            self.assertEqual(self.read(name), text.replace(find, put), (find, put))

    def test_across_pieces_of_a_large_file(self):
        name = f"{self.dir}/f"
        find = os.urandom(1 << 20)
        text = b"-" * 65530 + find + b"=" * 65531 + find[:-1] + find
        self.write(name, text)
        self.assertEqual(self.replace(name, find, find[:100000], expected_count=2), 2)
        self.assertEqual(self.read(name), text.replace(find, find[:100000]))

    def test_another_count_changes_nothing(self):
        name = f"{self.dir}/f"
        self.write(name, b"one one")
        self.assertIn("2 times", self.refused(Code.FAILED_PRECONDITION, self.replace, name, b"one", b"x", expected_count=1))
        self.assertIn("0 times", self.refused(Code.FAILED_PRECONDITION, self.replace, name, b"two", b"x", expected_count=1))
        self.assertEqual((self.read(name), self.names(self.dir)), (b"one one", ["f"]))

    def test_what_cannot_be_replaced(self):
        self.sh(f"cd {self.dir}; mkfifo fifo; ln -s real link; echo one >real")
        self.refused(Code.INVALID_ARGUMENT, self.replace, f"{self.dir}/real", b"", b"x")
        self.refused(Code.INVALID_ARGUMENT, self.replace, f"{self.dir}/real", b"x" * ((1 << 20) + 1), b"x")
        self.refused(Code.FAILED_PRECONDITION, self.replace, f"{self.dir}/fifo", b"a", b"b")
        self.refused(Code.FAILED_PRECONDITION, self.replace, self.dir, b"a", b"b")
        self.refused(Code.NOT_FOUND, self.replace, f"{self.dir}/none", b"a", b"b")
        self.refused(Code.PERMISSION_DENIED, self.replace, "/proc/self/comm", b"a", b"b")
        self.assertEqual(self.replace(f"{self.dir}/link", b"one", b"two"), 1)
        self.assertEqual(self.stat(f"{self.dir}/link").kind, fs.FILE_KIND_SYMLINK)
        self.assertEqual(self.read(f"{self.dir}/real"), b"two\n")


class Watch(Box):
    def watch(self, where=None, recursive=True):
        stream = self.files.WatchFiles(fs.WatchFilesRequest(
            sandbox_id=self.box, directory=path(where or self.dir), recursive=recursive), timeout=120)
        self.addCleanup(stream.cancel)
        first = next(stream)
        self.assertEqual((first.kind, first.file.path), (fs.FILE_EVENT_KIND_WATCHING, where or self.dir))
        return stream

    def until(self, stream, name, kind="+"):
        """Events up to that one, without those that come twice."""
        seen = []
        for event in stream:
            told = KINDS[event.kind] + event.file.path[len(self.dir) + 1:]
            if told not in seen:
                seen.append(told)
            if told == kind + name:
                return seen
        self.fail(f"ended without {kind}{name}: {seen}")

    def test_what_happens_is_told(self):
        self.sh(f"cd {self.dir}; echo 1 >old; mkdir sub")
        stream = self.watch()
        self.sh(f"cd {self.dir}; echo 2 >>old; chmod 600 old; : >new; mv new moved; rm moved; : >sub/in; : >end")
        self.assertEqual(self.until(stream, "end"), ["~old", "+new", "-new", "+moved", "-moved", "+sub/in", "+end"])

    def test_only_the_directory_itself(self):
        self.sh(f"mkdir {self.dir}/sub")
        stream = self.watch(recursive=False)
        self.sh(f"cd {self.dir}; : >sub/in; mkdir made; : >made/in; : >end")
        self.assertEqual(self.until(stream, "end"), ["+made", "+end"])

    def test_directories_made_and_moved_later(self):
        self.sh(f"mkdir -p {self.dir}/w /tmp/out/deep")
        stream = self.watch()
        self.sh(f"cd {self.dir}; mkdir -p a/b/c/d; : >a/b/c/d/f; : >end1")
        seen = self.until(stream, "end1")
        for name in ("a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/f"):
            self.assertIn("+" + name, seen)
        self.sh(f"cd {self.dir}; mv a/b w/b; : >w/b/c/later")
        self.assertLessEqual({"-a/b", "+w/b"}, set(self.until(stream, "w/b/c/later")))
        self.sh(f"cd {self.dir}; mv /tmp/out in; : >in/deep/new")
        self.until(stream, "in/deep/new")
        self.sh(f"cd {self.dir}; mv w/b /tmp/gone")
        self.until(stream, "w/b", "-")
        self.sh(f": >/tmp/gone/unseen; : >{self.dir}/end2")
        self.assertNotIn("unseen", " ".join(self.until(stream, "end2")))
        self.sh(f"rm -r /tmp/gone; cd {self.dir}; rm -r in; mkdir in; : >in/again; : >end3")
        self.assertIn("+in/again", self.until(stream, "end3"))

    def test_names_that_are_not_utf8(self):
        stream = self.watch()
        self.sh(f"cd {self.dir}; : >$(printf 'caf\\351'); : >'a\nb'; : >end")
        events = []
        for event in stream:
            events.append(event.file.raw_path or event.file.path)
            if events[-1] == f"{self.dir}/end":
                break
        self.assertIn(self.dir.encode() + b"/caf\xe9", events)
        self.assertIn(f"{self.dir}/a\nb", [event for event in events if isinstance(event, str)] +
                      [event.decode("utf-8", "replace") for event in events if isinstance(event, bytes)])

    def test_an_overflow_is_told(self):
        stream = self.watch()
        self.sh(f"cd {self.dir}; python3 -c '\nimport os\nfor i in range(60000): os.close(os.open(str(i), 65)); os.unlink(str(i))'; "
                ": >end")
        # More of it may have been lost behind the first one, and what is made then with it: so again after each.
        overflows = 0
        for event in stream:
            if event.kind == fs.FILE_EVENT_KIND_OVERFLOW:
                overflows += 1
                self.sh(f": >{self.dir}/after{overflows}")
            if event.file.path.startswith(f"{self.dir}/after"):
                break
        self.assertGreater(overflows, 0)

    def test_more_directories_than_are_watched(self):
        self.sh(f"cd {self.dir}; seq 2100 | xargs mkdir")
        self.assertIn("2048", self.refused(Code.RESOURCE_EXHAUSTED, self.watch))
        self.assertEqual(next(self.files.WatchFiles(fs.WatchFilesRequest(
            sandbox_id=self.box, directory=path(self.dir)), timeout=60)).kind, fs.FILE_EVENT_KIND_WATCHING)

    def test_a_directory_that_goes_ends_it(self):
        self.sh(f"mkdir {self.dir}/w")
        stream = self.watch(f"{self.dir}/w")
        self.sh(f"rm -r {self.dir}/w")
        self.assertEqual([KINDS[event.kind] for event in stream], ["-"])


LONG = "long-" + "n" * 150
ODD = """cd "$1"
mkdir -p d/e "$2/$2" empty; printf hello >d/f; chmod 751 d/f; chmod 700 empty
ln d/f d/e/second; ln -s f d/link; ln -s "$2/$2" up; printf x >"$2/$2/$2"
printf 1 >"$(printf 'caf\\351')"; printf 2 >'new
line'; printf 3 >'\xc3\xa9t\xc3\xa9'; printf 4 >"$2/$(printf 'caf\\351')$2"
touch -d '2001-02-03 04:05:06.789012345' d/f; touch -d '1969-12-31 12:00:00.5 UTC' "$2"
chmod 1777 empty; truncate -s 9G big; printf end | dd of=big bs=1 seek=9663676413 conv=notrunc status=none
truncate -s 1M hole; chmod 4755 hole
touch -h -d '2010-01-02 03:04:05' up; chmod 555 d/e
"""


def described(root):
    """What is below, as far as an archive keeps it."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            full = os.path.join(folder, name)
            st = os.lstat(full)
            below = os.path.relpath(full, os.fsencode(root))
            found[below] = [oct(st.st_mode & ~0o6000), st.st_mtime_ns]
            if os.path.islink(full):
                found[below] = [("link", os.readlink(full)), st.st_mtime_ns]
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    file.seek(max(0, st.st_size - 100))
                    found[below] += [st.st_size, st.st_nlink, file.read()]
    return found


class Archives(Box):
    def setUp(self):
        super().setUp()
        self.here = tempfile.mkdtemp(prefix="aisbx-trees-")
        self.addCleanup(subprocess.run, ["sh", "-c", 'chmod -R u+rwX "$1"; rm -r "$1"', "sh", self.here], check=True)

    def odd_tree(self):
        """Every kind of name and file, here and inside."""
        source = os.path.join(self.here, "source")
        os.mkdir(source)
        subprocess.run(["sh", "-c", ODD, "sh", source, LONG], check=True)
        return source

    def unpacked(self, data, *command):
        target = os.path.join(self.here, "target" + command[0])
        os.mkdir(target)
        subprocess.run([*command, target], input=data, check=True, stderr=subprocess.PIPE)
        return target

    def test_a_tree_is_exported_as_it_is(self):
        source = self.odd_tree()
        packed = subprocess.run(["tar", "-C", source, "--format=pax", "--sparse", "-cf", "-", "."],
                                check=True, stdout=subprocess.PIPE).stdout
        box = self.make("roomy")
        self.addCleanup(self.destroy, box)
        reply = self.import_("/tmp", packed, box=box)
        self.assertEqual(list(reply.refused), [])
        data = self.export("/tmp", box=box)
        self.assertLess(len(data), 4 << 20, "holes stay holes")
        readers = {"tar": ["tar", "--warning=no-unknown-keyword", "-xpf", "-", "-C"],
                   "bsdtar": ["bsdtar", "-xpf", "-", "-C"],
                   "python": ["python3", "-c", "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall(sys.argv[1])"]}
        want = described(source)
        for name, command in readers.items():
            if shutil.which(command[0]) is None:
                continue
            with self.subTest(name):
                found = described(self.unpacked(data, *command))
                self.assertEqual(sorted(found), sorted(want))
                for below, (what, time_, *rest) in found.items():
                    unit = 10**9 if name == "python" else 1  # it computes with floating numbers
                    if not (what[0] == "link" and name == "python"):
                        self.assertEqual(time_ // unit, want[below][1] // unit, below)
                    self.assertEqual([what, *rest], [want[below][0], *want[below][2:]], below)

    def test_every_format_is_read(self):
        source = os.path.join(self.here, "plain")
        os.mkdir(source)
        subprocess.run(["sh", "-c", 'cd "$1"; mkdir d; echo hello >d/f; ln -s f d/l; ln d/f d/h; truncate -s 300k s; '
                        'printf a >>s; truncate -s 700k s; chmod 640 d/f', "sh", source], check=True)
        for format_ in ("v7", "oldgnu", "gnu", "ustar", "pax"):
            for sparse in [[]] if format_ in ("v7", "ustar") else [[], ["-S"]] + (
                    [["-S", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0")] if format_ == "pax" else []):
                with self.subTest(format_, sparse=sparse):
                    data = subprocess.run(["tar", "-C", source, f"--format={format_}", *sparse, "-cf", "-", "."],
                                          check=True, stdout=subprocess.PIPE).stdout
                    where = f"{self.dir}/{format_}{'-'.join(sparse)}"
                    self.sh(f"mkdir '{where}'")
                    reply = self.import_(where, data)
                    self.assertEqual((reply.entries, list(reply.refused)), (5, []))
                    self.assertEqual(self.sh(f"cd '{where}'; sha256sum <s; cat d/l d/h; stat -c '%a %h' d/f"),
                                     subprocess.run(["sh", "-c", "sha256sum <s; cat d/l d/h; stat -c '%a %h' d/f"], cwd=source,
                                                    check=True, stdout=subprocess.PIPE).stdout)

    def test_long_names_of_gnu_tar(self):
        name = "/".join(["d" * 90] * 3 + ["f" * 120])
        for format_ in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            self.sh(f"mkdir {self.dir}/{format_}")
            members = [(name, b"data", {}), ("l", "symlink", {"linkname": name})]
            self.assertEqual(self.import_(f"{self.dir}/{format_}", tar(members, format=format_)).entries, 2)
            self.assertEqual(self.sh(f"cat {self.dir}/{format_}/l"), b"data")

    def test_what_is_there_is_replaced_and_modes_come_last(self):
        self.sh(f"cd {self.dir}; echo old >f; ln -s f l; mkdir -p d/keep")
        reply = self.import_(self.dir, tar([
            ("ro", "dir", {"mode": 0o555, "mtime": 1000}), ("ro/f", b"in", {"mode": 0o400, "mtime": 2000}),
            ("f", b"new", {}), ("l", b"file", {}), ("d", "dir", {"mode": 0o700}), ("d/x", b"x", {"mode": 0o6755})]))
        self.assertEqual((reply.entries, reply.size_bytes, list(reply.refused)), (6, 10, []))
        self.assertEqual(self.sh(f"cd {self.dir}; cat f l; stat -c '%n %a %Y' ro ro/f; stat -c '%n %a %F' l d d/keep d/x | tr '\\n' ,"),
                         b"newfilero 555 1000\nro/f 400 2000\nl 644 regular file,d 700 directory,d/keep 755 directory,d/x 755 regular file,")

    def test_the_messages_of_an_import(self):
        data = fs.ImportTarRequest(data=b"x")
        header = fs.ImportTarRequest(header=fs.ImportTarHeader(sandbox_id=self.box, directory=path(self.dir)))
        self.refused(Code.INVALID_ARGUMENT, self.files.ImportTar, iter([]))
        self.refused(Code.INVALID_ARGUMENT, self.files.ImportTar, iter([data]))
        self.refused(Code.INVALID_ARGUMENT, self.files.ImportTar, iter([header, header]))
        self.refused(Code.NOT_FOUND, self.import_, f"{self.dir}/none", b"")
        self.sh(f": >{self.dir}/f")
        self.refused(Code.FAILED_PRECONDITION, self.import_, f"{self.dir}/f", b"")
        self.refused(Code.FAILED_PRECONDITION, self.export, f"{self.dir}/f")
        self.refused(Code.NOT_FOUND, self.export, f"{self.dir}/none")

    def test_an_empty_directory(self):
        self.sh(f"mkdir {self.dir}/a {self.dir}/b")
        data = self.export(f"{self.dir}/a")
        self.assertEqual(data, bytes(1024))
        self.assertEqual(self.import_(f"{self.dir}/b", data).entries, 0)

    def test_what_cannot_be_read_ends_an_export(self):
        self.sh(f"cd {self.dir}; mkdir d; : >d/f; chmod 0 d/f")
        self.assertIn("d/f", self.refused(Code.PERMISSION_DENIED, self.export, self.dir))


if __name__ == "__main__":
    main()
