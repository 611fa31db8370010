"""A disk that forgets: it keeps what was synced, and of the rest whatever chance leaves when the power goes."""

import errno
import os
import random


class PowerCut(BaseException):
    """Everything stops here."""


class Inode:
    """A file's bytes as a reader sees them, as they are on disk, and the writes in between."""

    def __init__(self, data: bytes = b"") -> None:
        self.seen = bytearray(data)
        self.kept = bytearray(data)
        self.writes: list[tuple[int, bytes]] = []


def put(data: bytearray, offset: int, piece: bytes) -> None:
    data.extend(bytes(max(0, offset + len(piece) - len(data))))
    data[offset : offset + len(piece)] = piece


class FakeDisk:
    """A `Files` in memory. Each call of those that change or keep something counts; `fail` and `cut` say at which an error or the end comes."""

    def __init__(self, chance: random.Random, files: dict[str, bytes] | None = None, room: int = 1 << 40) -> None:
        self.chance = chance
        self.seen = {path: Inode(data) for path, data in (files or {}).items()}
        self.kept = dict(self.seen)
        self.moves: list[tuple[str | None, str | None, Inode]] = []    # a name that goes, a name that comes, whose
        self.files: dict[int, Inode] = {}
        self.locked: set[str] = set()
        self.room = room
        self.calls = 0
        self.fail: int | None = None
        self.cut: int | None = None
        self.scarce = 0    # EMFILE or ENFILE while no file can be opened

    def call(self) -> None:
        self.calls += 1
        if self.calls == self.cut:
            raise PowerCut
        if self.calls == self.fail:
            raise OSError(errno.EIO, "Input/output error")

    # Files

    def make_folder(self, path: str) -> None:
        pass

    def names(self, folder: str) -> list[str]:
        return sorted(path.rpartition("/")[2] for path in self.seen if path.rpartition("/")[0] == folder)

    def read(self, path: str, size: int = -1) -> bytes:
        data = bytes(self.seen[path].seen)
        return data if size < 0 else data[:size]

    def open(self, path: str) -> int:
        self.call()
        if self.scarce:
            raise OSError(self.scarce, os.strerror(self.scarce))
        if path not in self.seen:
            self.move(None, path, Inode())
        number = max(self.files, default=2) + 1
        self.files[number] = self.seen[path]
        return number

    def write(self, file: int, data: bytes, offset: int) -> None:
        try:
            self.call()
        except BaseException:
            self.store(file, data[: self.chance.randrange(len(data) + 1)], offset)
            raise
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.store(file, data, offset)

    def store(self, file: int, data: bytes, offset: int) -> None:
        put(self.files[file].seen, offset, bytes(data))
        self.files[file].writes.append((offset, bytes(data)))

    def sync(self, file: int) -> None:
        inode = self.files[file]
        try:
            self.call()
        except OSError:
            self.tear(inode)    # and the next sync would succeed, without these writes
            raise
        for offset, data in inode.writes:
            put(inode.kept, offset, data)
        inode.writes.clear()

    def close(self, file: int) -> None:
        del self.files[file]

    def rename(self, old: str, new: str) -> None:
        self.call()
        self.move(old, new, self.seen[old])

    def remove(self, path: str) -> None:
        self.call()
        if path not in self.seen:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self.move(path, None, self.seen[path])

    def sync_folder(self, folder: str) -> None:
        self.sync_names(0)

    def open_folder(self, folder: str) -> int:
        number = max(self.files, default=2) + 1
        self.files[number] = Inode()
        return number

    def sync_names(self, folder: int) -> None:
        self.call()
        self.kept = dict(self.seen)
        self.moves.clear()

    def lock(self, path: str) -> int:
        if path in self.locked:
            raise BlockingIOError
        self.locked.add(path)
        return self.open(path)

    def free_bytes(self, folder: str) -> int:
        return self.room

    # What chance leaves

    def move(self, old: str | None, new: str | None, inode: Inode) -> None:
        follow(self.seen, old, new, inode)
        self.moves.append((old, new, inode))

    def tear(self, inode: Inode) -> None:
        """Of the writes that were not synced, some pieces reach the disk, in any order, and some do not."""
        for offset, data in inode.writes:
            start = 0
            while start < len(data):
                end = start + self.chance.choice((1, 8, 37, 512, 4096, 1 << 20))
                if self.chance.randrange(2):
                    put(inode.kept, offset + start, data[start:end])
                start = end
        inode.writes.clear()

    def image(self) -> dict[str, bytes]:
        """What is on the disk when the power is back."""
        names = dict(self.kept)
        for move in self.moves:
            if self.chance.randrange(2):
                follow(names, *move)
        for inode in names.values():
            self.tear(inode)
        return {path: bytes(inode.kept) for path, inode in names.items()}

    def contents(self) -> dict[str, bytes]:
        """What another process sees."""
        return {path: bytes(inode.seen) for path, inode in self.seen.items()}


def follow(names: dict[str, Inode], old: str | None, new: str | None, inode: Inode) -> None:
    if old is not None:
        names.pop(old, None)
    if new is not None:
        names[new] = inode
