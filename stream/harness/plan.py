"""The plan of a load run: how many clients there are of each role, what they subscribe to, and which thresholds must hold."""

from enum import StrEnum
from random import Random
from typing import NamedTuple

from msgspec import Struct


class Role(StrEnum):
    """What a client does beside listening."""

    STEADY = "steady"          # reads whatever comes at once
    SLOW = "slow"              # now and then reads nothing for a while
    RETURNING = "returning"    # cuts its connection now and then, returns and resumes
    TRADING = "trading"        # places and cancels orders on a schedule
    PROBE = "probe"            # one in each process: asks for a sign of life on a schedule, and listens to one ticker


class LoadPlan(Struct, frozen=True):
    """A run. Shares are of 1."""

    url: str
    clients: int
    processes: int
    seconds: float
    """How long is measured, once all clients are there."""
    ramp_s: float
    """Over which time they come."""
    instruments: dict[str, int]
    """Their names, and the smallest size of an order."""
    kinds: list[str]
    """Of the public channels: orderbook, trades, ticker."""
    depth: int | None = None
    interval_ms: int | None = None
    slow: float = 0.0
    returning: float = 0.0
    trading: float = 0.0
    verified: float = 0.1
    """The share of the clients that rebuild every book and compare every digest; the others check sequences alone."""
    stall_s: float = 5.0
    """How long a slow client reads nothing; then it reads for as long."""
    stay_s: float = 5.0
    """How long a returning client stays, on average."""
    orders_per_s: float = 10.0
    """Requests of each trading client: it places an order and cancels it, in turn."""


class PlannedClient(NamedTuple):
    """One client of a plan."""

    number: int
    role: Role
    verifies: bool


def planned_clients(plan: LoadPlan) -> list[PlannedClient]:
    """Every client in the order of its coming. Roles are mixed; of each role one client at least verifies, if any does."""
    wanted = ((Role.SLOW, plan.slow), (Role.RETURNING, plan.returning), (Role.TRADING, plan.trading))
    roles = [role for role, share in wanted for _ in range(round(share * plan.clients))][: plan.clients]
    roles += [Role.STEADY] * (plan.clients - len(roles))
    Random(1).shuffle(roles)
    ranks = dict.fromkeys(Role, 0)
    found = []
    for number, role in enumerate(roles):
        rank, ranks[role] = ranks[role], ranks[role] + 1
        found.append(PlannedClient(number, role, bool(plan.verified) and rank % round(1 / plan.verified) == 0))
    return found


class Thresholds(Struct, frozen=True):
    """What must hold for an exit status of 0. None: there is no limit."""

    gaps: int | None = 0
    wrong: int | None = 0
    lost: int | None = 0
    refused: int | None = None
    p99_ms: float | None = None
    """Of steady clients, from the making of a frame to its receipt, corrected."""
    response_p99_ms: float | None = None
    """From when a request was due to its answer."""
    deliveries_per_s: float | None = None
    """The fewest."""
