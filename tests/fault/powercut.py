"""Replays a log of shim.c up to some point and makes the folder that a power cut there could leave.

What a disk holds after a cut, as modelled here:
  - pages of 4 KiB: whatever an fsync or fdatasync covered (it began after the write had returned, and
    has returned itself), or an O_DSYNC write wrote, is there. Of later versions of that page any one may
    be there instead, or a mixture of versions by sectors of 512 bytes;
  - sizes: the size at the last fsync, or any later one;
  - names: of the changes in a folder since its last fsync any first part has happened (file systems
    journal them in order), independently for each folder. An fsync of a file does not keep its name.

Nothing here knows what the files mean. See README.md for how tests use it.
"""
import bisect
import dataclasses
import mmap
import os
import random
import shutil
import struct

HEAD = struct.Struct("<IIQQqQ")  # type, flags, token, ino, offset, bytes that follow
CREATE, WRITE, TRUNCATE, SYNC, DONE, MKDIR, RENAME, LINK, UNLINK = range(1, 10)
PAGE, SECTOR = 4096, 512


class Log:
    """The records of one run. A position is a number of bytes of the log; a cut there means that exactly
    the records before it were written."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        self.at = []
        at = 0
        while at + HEAD.size <= len(self.bytes):
            n = HEAD.unpack_from(self.bytes, at)[5]
            if at + HEAD.size + n > len(self.bytes):
                break  # the program was killed while it wrote this one
            self.at.append(at)
            at += HEAD.size + n
        self.end = at

    def __len__(self):
        return len(self.at)

    def record(self, i):
        kind, flags, token, ino, offset, n = HEAD.unpack_from(self.bytes, self.at[i])
        start = self.at[i] + HEAD.size
        return kind, flags, token, ino, offset, self.bytes[start:start + n]

    def count_before(self, position):
        return bisect.bisect_left(self.at, position)

    def position(self, count):
        return self.at[count] if count < len(self.at) else self.end


@dataclasses.dataclass
class Version:
    """One page as some write left it in memory; `end` is the record at which that write had returned."""
    bytes: bytes
    end: int = None


@dataclasses.dataclass
class Size:
    size: int
    end: int = None


class File:
    def __init__(self):
        self.pages = {}  # number -> [Version]; the first is on the disk
        self.sizes = [Size(0, -1)]

    def latest(self, page):
        return self.pages[page][-1].bytes if page in self.pages else bytes(PAGE)

    def change(self, page, start, data):
        old = self.latest(page)
        version = Version(old[:start] + data + old[start + len(data):])
        self.pages.setdefault(page, [Version(bytes(PAGE), -1)]).append(version)
        return version

    def write(self, offset, data):
        """Returns what to mark when the call returns: [(page, Version)], Size or None."""
        made, at = [], 0
        while at < len(data):
            page, start = divmod(offset + at, PAGE)
            n = min(PAGE - start, len(data) - at)
            made.append((page, self.change(page, start, data[at:at + n])))
            at += n
        size = None
        if data and offset + len(data) > self.sizes[-1].size:
            size = Size(offset + len(data))
            self.sizes.append(size)
        return made, size

    def truncate(self, to):
        made = []
        for page in [p for p in self.pages if (p + 1) * PAGE > to]:
            start = max(0, to - page * PAGE)
            made.append((page, self.change(page, start, bytes(PAGE - start))))
        size = Size(to)
        self.sizes.append(size)
        return made, size

    @staticmethod
    def _keep(versions, before):
        """Drops what the last version that had returned before that record replaces on the disk."""
        for i in range(len(versions) - 1, 0, -1):
            if versions[i].end is not None and versions[i].end < before:
                del versions[:i]
                return

    def sync(self, before):
        for versions in self.pages.values():
            if len(versions) > 1:
                self._keep(versions, before)
        self._keep(self.sizes, before)

    def keep_write(self, made):
        for page, version in made:
            versions = self.pages[page]
            if version in versions:
                del versions[:versions.index(version)]

    def forget_write(self, made, size):
        for page, version in made:
            if version in self.pages[page]:
                self.pages[page].remove(version)
        if size in self.sizes:
            self.sizes.remove(size)

    def content(self, rng, mode):
        pick = {"drop": lambda v: v[0], "keep": lambda v: v[-1]}.get(mode, rng.choice)
        size = pick(self.sizes).size
        out = bytearray(size)
        for page, versions in self.pages.items():
            if page * PAGE >= size:
                continue
            if len(versions) > 1 and mode == "torn" and rng.random() < 0.5:
                data = b"".join(rng.choice(versions).bytes[i:i + SECTOR] for i in range(0, PAGE, SECTOR))
            else:
                data = pick(versions).bytes
            out[page * PAGE:page * PAGE + PAGE] = data[:size - page * PAGE]
        return bytes(out[:size])


class Folder:
    def __init__(self):
        self.names = {}  # as the program sees them
        self.kept = {}  # as they are on the disk
        self.pending = []  # (record, change)

    def change(self, record, change):
        change(self.names)
        self.pending.append((record, change))

    def sync(self, before):
        while self.pending and self.pending[0][0] < before:
            self.pending.pop(0)[1](self.kept)

    def entries(self, rng, mode):
        names = dict(self.kept)
        count = {"drop": 0, "keep": len(self.pending)}.get(mode, rng.randint(0, len(self.pending)))
        for _, change in self.pending[:count]:
            change(names)
        return names


class Disk:
    """What the program did so far, and what of it is sure to be on the disk."""

    def __init__(self, log):
        self.log, self.next = log, 0
        self.root = Folder()
        self.files = {}  # inode number -> File
        self.open = {}  # token -> what to do when the call returns

    def folder(self, path):
        at = self.root
        for part in path.split("/"):
            if part:
                at = at.names[part]
        return at

    def parent(self, path):
        head, _, name = path.rpartition("/")
        return self.folder(head), name

    def advance(self, count):
        while self.next < count:
            self.apply(self.next, *self.log.record(self.next))
            self.next += 1

    def apply(self, i, kind, flags, token, ino, offset, data):
        if kind == DONE:
            self.open.pop(token)(i, offset)
        elif kind in (WRITE, TRUNCATE):
            self.begin_change(kind, flags, token, self.files[ino], offset, data)
        elif kind == SYNC:
            what = self.folder(data.decode()) if flags & 1 else self.files[ino]
            self.open[token] = lambda _, result: what.sync(i) if result == 0 else None
        else:
            self.change_names(i, kind, ino, *data.decode().split("\0"))

    def begin_change(self, kind, flags, token, file, offset, data):
        made, size = file.write(offset, data) if kind == WRITE else file.truncate(offset)

        def returned(i, result):
            if result != (len(data) if kind == WRITE else 0):
                if result > 0:
                    raise NotImplementedError("a write that was cut short")
                file.forget_write(made, size)
                return
            for _, version in made:
                version.end = i
            if size:
                size.end = i
            if flags & 1:
                file.keep_write(made)
        self.open[token] = returned

    def change_names(self, i, kind, ino, path, new=None):
        folder, name = self.parent(path)
        if kind in (CREATE, MKDIR):
            node = Folder()
            if kind == CREATE:
                node = self.files[ino] = File()
            folder.change(i, lambda names: names.__setitem__(name, node))
        elif kind == UNLINK:
            folder.change(i, lambda names: names.pop(name, None))
        else:
            to, new_name = self.parent(new)
            if to is not folder:
                raise NotImplementedError("a rename or link from folder to folder")

            def change(names):
                node = names.get(name) if kind == LINK else names.pop(name, None)
                if node is not None:
                    names[new_name] = node
            folder.change(i, change)

    def cut(self, out, rng):
        """Makes the folder as a power cut now could leave it."""
        mode = rng.choice(("drop", "keep", "random", "random", "torn", "torn"))
        os.makedirs(out, mode=0o700)
        self._write(self.root, out, rng, mode)
        return mode

    def _write(self, folder, out, rng, mode):
        for name, node in folder.entries(rng, mode).items():
            path = os.path.join(out, name)
            if isinstance(node, Folder):
                os.mkdir(path, 0o700)
                self._write(node, path, rng, mode)
            else:
                with open(path, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                    f.write(node.content(rng, mode))


def cut_many(log, cuts, seed, work, check, moments=()):
    """`cuts` cuts at random points of the log. A third of them are made exactly at one of `moments`
    (positions, such as those of acknowledgements)."""
    rng = random.Random(seed)
    counts = []
    for i in range(cuts):
        if moments and i % 3 == 0:
            counts.append(log.count_before(rng.choice(moments)))
        else:
            counts.append(rng.randint(0, len(log)))
    cut_at(log, counts, seed, work, check)


def cut_at(log, counts, seed, work, check):
    """For each number of records makes a folder as a cut after them could leave it, and calls
    check(folder, position, describe), in order of position: what was acknowledged at or before `position`
    must be in the folder. check() raises to fail; the folder is then left for a look."""
    disk = Disk(log)
    for i, count in enumerate(sorted(counts)):
        disk.advance(count)
        folder = os.path.join(work, f"cut-{i}")
        shutil.rmtree(folder, ignore_errors=True)
        mode = disk.cut(folder, random.Random(f"{seed}/{i}"))
        check(folder, log.position(count), f"cut {i} of {len(counts)}, seed {seed}, record {count}, "
              f"pages {mode}: {folder}")
        shutil.rmtree(folder)
