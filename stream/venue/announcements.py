"""What an administrator says to every process of the market: tokens that are good no longer, connections to be closed.

It goes through the log of all commands, so it is on disk before it is confirmed, reaches who was away, and is still there after a restart. It is
forgotten when it can matter no more.
"""

from typing import NamedTuple

from stream.access.revocations import Revocation, Revocations
from stream.commands.entry import Entry
from stream.venue.safeguards import Memory, kind_of

REVOKED_TOKEN, REVOKED_SUBJECT = REVOKED = "revoked_token", "revoked_subject"
CLOSED_SUBJECT, CLOSED_CONNECTION = CLOSED = "closed_subject", "closed_connection"
"""The kinds of keys, before the name of what they concern. The value is when, in ns since 1970."""

CLOSED_KEPT_S = 60
"""Who has not heard for so long that connections are to be closed does not close them."""

CLOSED_KEPT_MAX = 256
"""Nor those before the latest so many."""


class Announcement(NamedTuple):
    """One of them. `at` is in ns since 1970: of a revocation by the clock on the wall, as tokens are; of what is to be closed by the market's own."""

    kind: str
    name: str
    at: int

    @property
    def key(self) -> str:
        """Under which it is remembered."""
        return f"{self.kind}:{self.name}"

    def entry(self) -> Entry:
        """As it is remembered."""
        return Entry(self.key, self.at.to_bytes(8, "little"))

    def revocation(self) -> Revocation | None:
        """What is revoked."""
        if self.kind == REVOKED_TOKEN:
            return Revocation(self.at / 10**9, token_id=self.name)
        return Revocation(self.at / 10**9, subject=self.name) if self.kind == REVOKED_SUBJECT else None


def read(entry: Entry) -> Announcement | None:
    """What an entry of the directory says, if it is an announcement that has not been forgotten."""
    kind, _, name = entry.key.partition(":")
    return Announcement(kind, name, int.from_bytes(entry.value, "little")) if entry.value and kind in REVOKED + CLOSED else None


class Announcements:
    """Those that are remembered. Revocations are put into `revocations`."""

    def __init__(self, memory: Memory, revocations: Revocations) -> None:
        self._revocations = revocations
        self._kept: dict[str, Announcement] = {}
        for key, value in memory.directory.items():
            if kind_of(key) in REVOKED + CLOSED:
                self.follow(Entry(key, value))

    def __len__(self) -> int:
        return len(self._kept)

    def follow(self, entry: Entry) -> Announcement | None:
        """Take in what is remembered from now on: what is to be done about it."""
        said = read(entry)
        if said:
            self._kept.pop(said.key, None)    # so that they stand in the order in which they were said last
            self._kept[said.key] = said
            revocation = said.revocation()
            if revocation:
                self._revocations.add(revocation)
        else:
            self._kept.pop(entry.key, None)
        return said

    def forget(self, now: int, wall_time: int, memory: Memory) -> None:
        """Forget those that can matter no more."""
        closed = [said.key for said in self._kept.values() if said.kind in CLOSED]
        passed = set(closed[:-CLOSED_KEPT_MAX])
        for key, said in list(self._kept.items()):
            ends, time = (self._revocations.kept_s, wall_time) if said.kind in REVOKED else (CLOSED_KEPT_S, now)
            if key in passed or said.at + ends * 10**9 < time:
                del self._kept[key]
                memory.remember(key, b"")
