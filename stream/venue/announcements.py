"""Announcements of an administrator to every process of the market: revoked tokens, and connections to close.

An announcement is an entry among the commands. So it is on disk before it is confirmed, it reaches processes that were away, and it survives a
restart. It is forgotten when it cannot matter any more.
"""

from typing import NamedTuple

from stream.access.revocations import Revocation, Revocations
from stream.commands.directory import ClosedConnection, ClosedSubject, DirectoryKey, Entry, RevokedSubject, RevokedToken
from stream.venue.safeguards import Store

Revoked = RevokedToken | RevokedSubject
Closed = ClosedSubject | ClosedConnection
About = Revoked | Closed

CLOSED_KEPT_S = 60
"""A process that hears only after this time that connections are to be closed does not close them."""

CLOSED_KEPT_MAX = 256
"""A process acts only on this many of the latest requests to close connections."""


class Announcement(NamedTuple):
    """One announcement. `at` is in ns since 1970: for a revocation by the wall clock, like tokens; for connections to close by the market's own clock."""

    about: About
    at: int

    def entry(self) -> Entry:
        """As it is remembered."""
        return Entry(self.about, self.at)

    def revocation(self) -> Revocation | None:
        """What is revoked."""
        match self.about:
            case RevokedToken(token_id):
                return Revocation(self.at / 10**9, token_id=token_id)
            case RevokedSubject(subject):
                return Revocation(self.at / 10**9, subject=subject)
        return None


def read(entry: Entry) -> Announcement | None:
    """What an entry of the directory says, if it is an announcement that has not been forgotten."""
    return Announcement(entry.key, entry.value) if isinstance(entry.key, About) and isinstance(entry.value, int) else None


class Announcements:
    """Those that are remembered. Revocations are put into `revocations`."""

    def __init__(self, store: Store, revocations: Revocations) -> None:
        self._revocations = revocations
        self._kept: dict[DirectoryKey, Announcement] = {}
        for key, value in store.directory.items():
            self.follow(Entry(key, value))

    def __len__(self) -> int:
        return len(self._kept)

    def follow(self, entry: Entry) -> Announcement | None:
        """Take in an announcement that is remembered from now on. Returns what is to be done about it."""
        said = read(entry)
        if said:
            self._kept.pop(said.about, None)    # so that they stand in the order in which they were said last
            self._kept[said.about] = said
            revocation = said.revocation()
            if revocation:
                self._revocations.add(revocation)
        else:
            self._kept.pop(entry.key, None)
        return said

    def forget(self, now: int, wall_time: int, store: Store) -> None:
        """Forget those that can matter no more."""
        closed = [about for about in self._kept if isinstance(about, Closed)]
        passed = set(closed[:-CLOSED_KEPT_MAX])
        for key, said in list(self._kept.items()):
            ends, time = (self._revocations.kept_s, wall_time) if isinstance(key, Revoked) else (CLOSED_KEPT_S, now)
            if key in passed or said.at + ends * 10**9 < time:
                del self._kept[key]
                store.remember(key, None)
