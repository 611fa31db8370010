"""The directory: what the stream remembers beside the engine's state, a value under a key. It follows from the commands, so every replica has the same.

| key | value | who has it remembered, and until when |
|---|---|---|
| `AccountOf` | the account | the market, when it has opened an account for a subject; for good |
| `SourceAccounts` | the accounts | the market, when it begins with a source for the first time; for good |
| `KeptAccount` | True | whoever serves a client of the account, and the engine until nobody has listened for `account_resume_s` |
| `DeadManTimer` | when it ends | the owner of the account; until it ends or is stopped |
| `GracePeriod` | when it ends | the market, when the last guarded connection has ended; until it ends, or the account signs in |
| `Present` | True | a gateway where the account is signed in; until it is not, or the gateway is gone |
| `GuardedConnection` | the grace period, 0 for none | the process of the connection; until that ends or takes back what it has asked for |
| `EndedConnection` | the grace period | the gateway whose guarded connection has ended; until the engine has drawn its conclusion |
| `GatewayName` | the name, in UTF-8 | the gateway; until it says goodbye or is gone |
| `AskedConnections` | a question | a gateway; it is forgotten with the group that it comes in |
| `ToldConnections` | an answer | a gateway; it is forgotten with the group that it comes in |
| `RevokedToken`, `RevokedSubject` | since when | an administrator; until every token that it concerns has expired |
| `ClosedSubject`, `ClosedConnection` | since when | an administrator; for a minute |
| `OrderTicket` | what its client said about it | the process that a dialect serves it in, with the order; until the order has ended |
| `LastGroup` | its number | the engine, with every group of an origin; until there are too many other origins |
| `Term` | the term | the engine that leads; until the next one does |
| `ScheduleRan` | until when, and for how many instruments | the market, when it has carried out what was due of its schedule; for good |
| `ChannelStates` | what `Feed.dump` returns | a snapshot alone |
| `Unknown` | bytes | a journal of an earlier version that used a key of its own; for good |

Times and lengths of time are in ns. Process 0 is the market's own, where there are no gateways.
"""

from typing import ClassVar

import msgspec

Value = bool | int | bytes | list[int]


class Named(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What all keys have in common. `holds` is the type of the value."""

    holds: ClassVar[type] = int


class AccountOf(Named, frozen=True, tag=1):
    """The account of a subject."""

    subject: str


class SourceAccounts(Named, frozen=True, tag=2):
    """The accounts of a source of orders."""

    holds = list
    source: str


class KeptAccount(Named, frozen=True, tag=3):
    """An account whose events are kept for patches."""

    holds = bool
    account: int


class DeadManTimer(Named, frozen=True, tag=4):
    """The timer whose end cancels all orders of an account."""

    account: int


class GracePeriod(Named, frozen=True, tag=5):
    """The time in which an account may come back before all of its orders are cancelled."""

    account: int


class Present(Named, frozen=True, tag=6):
    """An account that is signed in at a gateway."""

    holds = bool
    account: int
    origin: int


class GuardedConnection(Named, frozen=True, tag=7):
    """A connection to a process that has asked for `cancel_on_disconnect`."""

    account: int
    origin: int
    connection: int


class EndedConnection(Named, frozen=True, tag=8):
    """A connection that was guarded with the scope `session`, and is gone."""

    account: int
    origin: int
    connection: int


class GatewayName(Named, frozen=True, tag=9):
    """A gateway that is there."""

    holds = bytes
    origin: int


class AskedConnections(Named, frozen=True, tag=10):
    """The question `number` of a gateway to all others: who is connected to them."""

    holds = bytes
    asker: int
    number: int


class ToldConnections(Named, frozen=True, tag=11):
    """The answer of one of them, the teller."""

    holds = bytes
    asker: int
    number: int
    teller: int


class RevokedToken(Named, frozen=True, tag=12):
    """A token that is good no longer."""

    token_id: str


class RevokedSubject(Named, frozen=True, tag=13):
    """A subject whose tokens of before are good no longer."""

    subject: str


class ClosedSubject(Named, frozen=True, tag=14):
    """A subject whose connections are to be closed."""

    subject: str


class ClosedConnection(Named, frozen=True, tag=15):
    """A connection that is to be closed."""

    connection: int


class LastGroup(Named, frozen=True, tag=16):
    """The last group of an origin that has run."""

    origin: int


class Term(Named, frozen=True, tag=17):
    """The rule of the leader that wrote the journal last."""


class ChannelStates(Named, frozen=True, tag=18):
    """What the channels know that the exchange does not."""

    holds = bytes


class Unknown(Named, frozen=True, tag=19):
    """A key that no version reads any more. It is carried along, so that nothing is lost."""

    holds = bytes
    name: str


class OrderTicket(Named, frozen=True, tag=20):
    """What a client of another venue's protocol said about an open order, by the client id that the order has in the engine."""

    holds = bytes
    account: int
    client_id: int


class ScheduleRan(Named, frozen=True, tag=21):
    """How far the schedule of phases has been carried out."""

    holds = list


OfGateways = (
    KeptAccount | DeadManTimer | GracePeriod | Present | GuardedConnection | EndedConnection | GatewayName | AskedConnections | ToldConnections
    | RevokedToken | RevokedSubject | ClosedSubject | ClosedConnection | OrderTicket
)
"""What a gateway may have remembered."""

DirectoryKey = OfGateways | AccountOf | SourceAccounts | LastGroup | Term | ScheduleRan | ChannelStates | Unknown

Directory = dict[DirectoryKey, Value]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Something that the stream remembers: a value under a key, until another takes its place. None takes the key away."""

    key: DirectoryKey
    value: Value | None

    def change(self, directory: Directory) -> None:
        """Enter it into the directory, or take its key away."""
        if self.value is None:
            directory.pop(self.key, None)
        else:
            directory[self.key] = self.value


decode_entry = msgspec.msgpack.Decoder(Entry).decode
"""An entry out of its record's payload."""


def number_under(directory: Directory, key: DirectoryKey) -> int:
    """The number under a key; 0 if there is none."""
    value = directory.get(key)
    return value if isinstance(value, int) else 0
