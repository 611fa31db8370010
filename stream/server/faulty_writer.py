"""Writes to a socket over a faulty line, instead of a SocketWriter."""

import asyncio
from collections import deque

from stream.server.faults import FaultyLine


class FaultyWriter:
    """The writes of one connection. They arrive late and in order, with their faults."""

    def __init__(self, transport: asyncio.Transport, line: FaultyLine) -> None:
        self._transport = transport
        self._line = line
        self._under_way: deque[tuple[bytes, bool]] = deque()    # pieces, and whether the line breaks behind
        self._broken = False

    def write(self, data: bytes) -> None:
        """Write all of it, after all that was written before."""
        self._under_way.append(self._line.carry(data))
        asyncio.get_running_loop().call_later(self._line.delay_s(), self._arrive)

    def _arrive(self) -> None:
        """One more piece arrives, the oldest that has not yet."""
        if not self._broken:
            piece, self._broken = self._under_way.popleft()
            self._transport.write(piece)
            if self._broken:
                self._transport.close()    # what was written before still arrives

    def pause(self) -> None:
        """The transport holds something."""

    def detach(self) -> None:
        """Write no more."""
        self._broken = True
