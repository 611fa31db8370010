"""Decides which fault each connection gets: by a script, in the order in which they come, or from a seed."""

import re
from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

from stream.fault import handshakes, streams
from stream.fault.kinds import Fault

ALL: tuple[type[Fault], ...] = (
    handshakes.ClosedAtOnce, handshakes.ResetAtOnce, handshakes.Silent, handshakes.ClosedAfterRequest, handshakes.ResetAfterRequest,
    handshakes.HalfStatusLine, handshakes.HalfHead, handshakes.EndlessHead, handshakes.Garbage, handshakes.GarbageAndSilence, handshakes.TlsBytes,
    handshakes.HttpStatus, handshakes.WrongAccept, handshakes.WrongSubprotocol, handshakes.SilentAfterUpgrade, handshakes.ClosedAfterUpgrade,
    handshakes.ResetAfterUpgrade, handshakes.RefusedAfterUpgrade,
    streams.Pass, streams.Delay, streams.Slow, streams.Pieces, streams.Fragments, streams.Cut, streams.CutByReset, streams.Stall, streams.Deaf,
    streams.HalfClosed, streams.TwoCloses, streams.ClosedWith, streams.LostBytes, streams.ReservedBits, streams.StrayFragment, streams.HugeFrame,
    streams.TextMessage, streams.Unreadable,
)

ITEM = re.compile(r"([a-z-]+)(?::(\d{1,9}))?(?:\*(\d{1,9}))?")


class FaultError(ValueError):
    """A kind of fault or a script is not possible."""


class Spec(NamedTuple):
    """A kind with its amount, None for the kind's own."""

    kind: str
    amount: int | None = None

    def __str__(self) -> str:
        return self.kind if self.amount is None else f"{self.kind}:{self.amount}"

    def fault(self, chance: Random) -> Fault:
        """A fault for one connection."""
        return kinds()[self.kind](chance, self.amount)


Plan = Callable[[int], tuple[Spec, Random]]
"""What the connection of a number, from 1 on, gets, and where its chances come from."""


def name_of(kind: type[Fault]) -> str:
    """`ClosedAtOnce` is called `closed-at-once`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def kinds() -> dict[str, type[Fault]]:
    """All kinds by name. The docstring says what each does."""
    return {name_of(kind): kind for kind in ALL}


def spec_of(text: str) -> tuple[Spec, int]:
    """Read `kind` or `kind:amount`, each with or without `*count`. Raises FaultError for anything else."""
    found = ITEM.fullmatch(text)
    if not found:
        raise FaultError(f"{text!r}: expected a kind of fault, with an optional amount and count, such as cut, cut:5 or http-status:503*3")
    name, amount, count = found.groups()
    kind = kinds().get(name)
    if not kind:
        raise FaultError(f"{name!r}: expected one of {', '.join(kinds())}")
    if amount and not kind.unit:
        raise FaultError(f"{text!r}: the fault {name} takes no amount")
    return Spec(name, int(amount) if amount else None), int(count or 1)


def scripted(text: str, repeat: bool = False, seed: int = 1) -> Plan:
    """A script such as "closed-at-once*3, cut:5, pass". After its end everything passes, or it starts again. Raises FaultError if it cannot be read."""
    items = [spec_of(item) for item in re.split(r"[\s,]+", text.strip()) if item]
    total = sum(count for _, count in items)
    if not total:
        raise FaultError("the script is empty: expected at least one fault")

    def plan(number: int) -> tuple[Spec, Random]:
        at, found = (number - 1) % total if repeat else number - 1, Spec("pass")
        for spec, count in items:
            if at < count:
                found = spec
                break
            at -= count
        return found, Random(f"{seed} {number}")

    return plan


def seeded(seed: int, only: Iterable[str] = (), share: float = 1.0) -> Plan:
    """Random faults of any kind, or only of some. They affect a share of the connections; the others pass. Raises FaultError if there is no such kind."""
    specs = [spec_of(text)[0] for text in only] or [Spec(name) for name in kinds()]

    def plan(number: int) -> tuple[Spec, Random]:
        chance = Random(f"{seed} {number}")
        return chance.choice(specs) if chance.random() < share else Spec("pass"), chance

    return plan
