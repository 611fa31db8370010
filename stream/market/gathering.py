"""Gathers commands, and the callers that wait for their outcome, until they are handed over as one group."""

from collections.abc import Callable
from typing import Protocol

from engine import Commands
from stream.commands.directory import Directory, DirectoryKey, Entry, Value
from stream.commands.forwarded import Forwarded
from stream.commands.listing import Listing
from stream.commands.results import Keyed, Reply, Results
from stream.journal.format import JournalError


class Group:
    """A group: commands, the callers that wait for them, the entries to remember with them, what is to be listed, and what gateways have forwarded."""

    __slots__ = ("after", "commands", "entries", "forwarded", "keyed", "last", "listings", "replies", "time")

    def __init__(self) -> None:
        self.commands = Commands()
        self.replies: dict[int, list[Reply]] = {}
        self.keyed: list[Keyed] = []
        self.entries: list[Entry] = []
        self.after: list[Callable[[bool], None]] = []
        self.listings: list[Listing] = []
        self.forwarded: list[Forwarded] = []
        self.time = 0
        self.last = 0    # its last record in the journal

    def put_ahead(self, ahead: Commands) -> Commands:
        """Have these run first; what they leave is empty, to be used again."""
        count, behind = len(ahead), self.commands
        if len(behind):
            ahead.extend(bytes(behind))
            behind.clear()
            self.replies = {index + count: replies for index, replies in self.replies.items()}
            self.keyed = [each._replace(place=each.place + count) for each in self.keyed]
        self.commands = ahead
        return behind

    def clear(self) -> None:
        """Forget it all."""
        self.commands.clear()
        if self.replies or self.after or self.entries or self.forwarded:
            self.replies, self.keyed, self.entries, self.after, self.forwarded, self.listings = {}, [], [], [], [], []


class CommandPath(Protocol):
    """What a market needs of where its commands run: here, in a `Sequencer`, or in another process, by way of a `Forwarder`."""

    directory: Directory
    results: Results
    ahead: Commands
    executed: int
    refused: int
    groups: int

    @property
    def commands(self) -> Commands:
        """The group that gathers."""
        ...

    @property
    def replies(self) -> dict[int, list[Reply]]:
        """Who waits for its commands, by their places."""
        ...

    @property
    def waits(self) -> bool:
        """Whether anything that was handed over has not run."""
        ...

    @property
    def failure(self) -> JournalError | None:
        """Why no command runs any more."""
        ...

    @property
    def low(self) -> bool:
        """Whether the disk is so full that only what makes the books smaller should be run."""
        ...

    def expect(self, done: Reply, account: int = 0, key: int = 0) -> None:
        """Have `done` called when the command that was appended last has run."""
        ...

    def repeats(self, account: int, key: int, done: Reply) -> bool:
        """Whether a request of this key has come before."""
        ...

    def remember(self, key: DirectoryKey, value: Value | None, after: Callable[[bool], None] | None = None) -> None:
        """Keep a value in the directory."""
        ...

    def enlist(self, listing: Listing, after: Callable[[bool], None]) -> None:
        """Add assets and instruments to the exchange, if they can be."""
        ...

    def advance(self, now: int) -> None:
        """Hand over what has gathered, and answer what has run."""
        ...


class Gatherer:
    """Where a market puts its commands. `directory` is what the stream remembers beside the exchange; `results` what became of requests with a key.

    `executed` and `refused` count the commands that have run, `groups` those that were handed over together.
    """

    def __init__(self, directory: Directory, results: Results) -> None:
        self.directory = directory
        self.results = results
        self.executed = self.refused = self.groups = 0
        self.ahead = Commands()    # what runs before what gathers
        self.gathering = Group()
        self._under_way: dict[tuple[int, int], list[Reply]] = {}

    @property
    def commands(self) -> Commands:
        """The group that is being gathered. Append to it, then call `expect` if there is to be a reply."""
        return self.gathering.commands

    @property
    def replies(self) -> dict[int, list[Reply]]:
        """Who waits for its commands, by their places."""
        return self.gathering.replies

    @property
    def gathers(self) -> bool:
        """Whether there is anything to hand over."""
        group = self.gathering
        return bool(len(self.ahead) or len(group.commands) or group.entries or group.listings or group.forwarded)

    def _gathered(self) -> Group:
        """The group that has gathered, with what is ahead of it in front."""
        if len(self.ahead):
            self.ahead = self.gathering.put_ahead(self.ahead)
        return self.gathering

    def expect(self, done: Reply, account: int = 0, key: int = 0) -> None:
        """Call `done` when the command that was appended last has run. If `key` is not 0, remember the result under it."""
        group, replies = self.gathering, [done]
        index = len(group.commands) - 1
        group.replies[index] = replies
        if key:
            group.keyed.append(Keyed(index, account, key))
            self._under_way[account, key] = replies

    def repeats(self, account: int, key: int, done: Reply) -> bool:
        """Whether a request with this key has come before. Then `done` gets the result of that one, now or when it has run."""
        result = self.results.get((account, key))
        replies = self._under_way.get((account, key))
        if result:
            done(result, None)
        elif replies is not None:
            replies.append(done)
        return result is not None or replies is not None

    def remember(self, key: DirectoryKey, value: Value | None, after: Callable[[bool], None] | None = None) -> None:
        """Keep a value in the directory, from when this group runs; None takes the key away. Then call `after`, with False if that failed."""
        self.gathering.entries.append(Entry(key, value))
        if after:
            self.gathering.after.append(after)

    def enlist(self, listing: Listing, after: Callable[[bool], None]) -> None:
        """Add assets and instruments to the exchange behind this group. Then call `after`, with False if that failed.

        A listing that another one has made impossible by then is passed over: who has asked for it looks whether it is there.
        """
        self.gathering.listings.append(listing)
        self.gathering.after.append(after)
