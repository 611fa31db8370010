"""Sends an engine's whole state to others. A copy of the process encodes it once, and a thread decodes it, so that neither side stops meanwhile.

A copy stops the engine for some 40 ms a GiB of its memory (`benchmarks.large_state`); the kernel copies what the engine changes while the other one
encodes. The state then lies in a file without a name, from which each reader takes it part by part.
"""

import asyncio
import gc
import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import BinaryIO

from stream.cluster.messages import Snapshot, StatePart
from stream.journal import snapshots
from stream.journal.files import Disk
from stream.journal.format import Damaged

log = logging.getLogger("deltabook")


class StateFile:
    """The state at a position, encoded, in an open file."""

    def __init__(self, term: int, position: int, file: BinaryIO) -> None:
        self.term = term
        self.position = position
        self.size = os.fstat(file.fileno()).st_size
        self._file = file

    async def part(self, start: int, size: int) -> StatePart:
        """The bytes from `start` on. Raises OSError if they cannot be read."""
        data = await asyncio.to_thread(os.pread, self._file.fileno(), size, start)
        if not data:
            raise OSError(f"the encoded state ends at byte {start}: expected {self.size}")
        return StatePart(self.term, self.position, self.size, start, data)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def newest_in(folder: str, term: int) -> StateFile:
    """The newest state of a journal, which must have one. OSError if it cannot be opened."""
    position, path = snapshots.latest(Disk(), folder)
    return StateFile(term, position, open(path, "rb", buffering=0))


async def encode_aside(term: int, position: int, pieces: Callable[[], Iterable[bytes]]) -> StateFile:
    """The state at the time of this call. A copy of this process calls `pieces` for its bytes. Raises OSError if that failed."""
    file: BinaryIO = tempfile.TemporaryFile(buffering=0)    # noqa: SIM115, it is closed with the StateFile
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)    # of threads, which the copy does not need
        process = os.fork()
    if not process:
        _write_and_exit(file.fileno(), pieces)
    try:
        _, status = await asyncio.to_thread(os.waitpid, process, 0)
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)    # the thread waits for it all the same
        file.close()
        raise
    if status:
        file.close()
        raise OSError(f"the process that encodes the state ended with status {status}")
    return StateFile(term, position, file)


def _write_and_exit(file: int, pieces: Callable[[], Iterable[bytes]]) -> None:
    """All that the copy does. Nothing of the engine's may be touched, and none of its sockets stay open here."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, file)
        os.closerange(file + 1, os.sysconf("SC_OPEN_MAX"))
        gc.disable()    # it would write to all that is shared
        for piece in pieces():
            left = memoryview(piece)
            while left:
                left = left[os.write(file, left) :]
        status = 0
    except BaseException as error:
        os.write(2, f"the state cannot be encoded: {error!r}\n".encode())
    finally:
        os._exit(status)


async def decode_aside(term: int, position: int, data: bytearray) -> Snapshot | None:
    """A state that has come whole; None if it cannot be used, which is logged."""
    try:
        return Snapshot(term, position, await asyncio.to_thread(snapshots.decode, data, "the engine's state"))
    except Damaged as damaged:
        log.error("a state from the engine could not be used", extra={"reason": str(damaged)})
        return None
