"""The disk, as the journal sees it: a few calls that a test can record and let fail. Each of them may raise OSError."""

import fcntl
import os
from typing import Protocol

FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", 0)
"""Of macOS, whose fsync leaves what was written in the drive's cache."""

FOLDER_MODE, FILE_MODE = 0o750, 0o640
"""What orders and balances are in is not for everybody; a narrower umask narrows it further."""


class Files(Protocol):
    """What the journal needs of a disk. Paths are text, a file is open under a number."""

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it, if they are not there, for good."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted."""
        ...

    def read(self, path: str, size: int = -1) -> bytes:
        """The first bytes of a file, or all."""
        ...

    def open(self, path: str) -> int:
        """Open a file for writing, made empty if it is not there."""
        ...

    def write(self, file: int, data: bytes, offset: int) -> None:
        """Write all of the bytes."""
        ...

    def sync(self, file: int) -> None:
        """Return when what was written to a file is on disk."""
        ...

    def close(self, file: int) -> None:
        """Close a file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def sync_folder(self, folder: str) -> None:
        """Return when the names in a folder are on disk."""
        ...

    def open_folder(self, folder: str) -> int:
        """Open a folder, for `sync_names`."""
        ...

    def sync_names(self, folder: int) -> None:
        """Return when the names in an open folder are on disk. Takes no further descriptor."""
        ...

    def lock(self, path: str) -> int:
        """Lock a file until it is closed. BlockingIOError if another holds it."""
        ...

    def free_bytes(self, folder: str) -> int:
        """The room that is left on the disk."""
        ...


class Disk:
    """The real one."""

    def make_folder(self, path: str) -> None:
        if not os.path.isdir(path):
            parent = os.path.dirname(os.path.abspath(path))
            self.make_folder(parent)
            os.mkdir(path, FOLDER_MODE)
            self.sync_folder(parent)

    def names(self, folder: str) -> list[str]:
        return sorted(os.listdir(folder))

    def read(self, path: str, size: int = -1) -> bytes:
        with open(path, "rb", buffering=0) as file:
            return file.read() if size < 0 else file.read(size)

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)

    def write(self, file: int, data: bytes, offset: int) -> None:
        written = os.pwrite(file, data, offset)
        while written < len(data):
            written += os.pwrite(file, memoryview(data)[written:], offset + written)

    def sync(self, file: int) -> None:
        if FULL_SYNC:
            fcntl.fcntl(file, FULL_SYNC)
        else:
            os.fdatasync(file)

    def close(self, file: int) -> None:
        os.close(file)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def sync_folder(self, folder: str) -> None:
        file = self.open_folder(folder)
        try:
            self.sync_names(file)
        finally:
            os.close(file)

    def open_folder(self, folder: str) -> int:
        return os.open(folder, os.O_RDONLY | os.O_CLOEXEC)

    def sync_names(self, folder: int) -> None:
        os.fsync(folder)

    def lock(self, path: str) -> int:
        file = self.open(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise
        return file

    def free_bytes(self, folder: str) -> int:
        room = os.statvfs(folder)
        return room.f_bavail * room.f_frsize
