"""Accounts of a campaign of faults: those that guard their orders, one that does not, and those that are revoked; and a market that is large from the start."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from stream.access.keys import key_of
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError, SignInRefused
from stream.journal.files import Disk
from stream.market.history import recover
from stream.market.market import Market
from stream.wire.administration import Revoke
from stream.wire.messages import Confirmed, Scope
from tests.market.journaled import SteppedJournal
from tests.setting import CONFIG, NAMES, SECRET, token
from tests.sockets import cut

OLD_S = 600
"""The age of a token, so that it is good where the clock is behind, too."""

GONE_S = 60
"""A guarded order is gone so long after its connection, whatever fails."""

STEADY_ORDERS = 20
STEADY_PRICE, GUARDED_PRICE = 450, 500
"""Below all that is traded; each guarded account has a price of its own."""

SCOPES: tuple[Scope, ...] = "connection", "session"

CROWD_LEVELS = 400
CROWD_GROUP = 10_000

Sizes = Callable[[str, int], list[int]]
"""What each watcher sees of an instrument's bids at a price, in lots."""


def signed(name: str, scope: str = "market account trade") -> str:
    """A token that has been good for a while."""
    return token(name, time.time_ns() - OLD_S * 10**9, scope)


async def insist(url: str, name: str) -> Client:
    """A client, once the gateway takes one."""
    while True:
        client = Client(url, signed(name))
        try:
            await client.open()
            await client.ping()
            return client
        except ClientError:
            await client.close()
            await asyncio.sleep(0.1)


async def drop(client: Client) -> None:
    """Cut a connection, and do not come back."""
    cut(client)
    await client.close()


class Guarded:
    """An account that connects to one gateway after another, guards its orders, and drops: they must be gone then."""

    def __init__(self, urls: list[str], number: int, seed: int, sizes: Sizes) -> None:
        self.rounds = 0
        self.outlived: list[str] = []
        self.stopping = False
        self._name = f"guarded{number}"
        self._price = GUARDED_PRICE + number
        self._urls = urls
        self._chance = random.Random(seed)
        self._sizes = sizes

    async def trade(self) -> None:
        """Until it is told to stop."""
        while not self.stopping:
            instrument, scope, url = self._chance.choice(NAMES), self._chance.choice(SCOPES), self._chance.choice(self._urls)
            if await self._placed(instrument, scope, url):
                self.rounds += 1
                placed = time.strftime("%H:%M:%S", time.gmtime())
                if not await self._gone(instrument):
                    self.outlived.append(f"{self._name} by the scope {scope!r}, {instrument}, placed at {url} before {placed}")

    async def _placed(self, instrument: str, scope: Scope, url: str) -> bool:
        """Whether an order was taken that was guarded. What a life before left, of which the answer was not seen, is kept if the account is back in time."""
        client = await insist(url, self._name)
        try:
            await client.cancel_all()
            await client.cancel_on_disconnect(scope)
            await client.place(instrument, "buy", Ticks(self._price), Lots(1))
        except ClientError:
            return False
        finally:
            await drop(client)
        return True

    async def _gone(self, instrument: str) -> bool:
        deadline = time.monotonic() + GONE_S
        while any(self._sizes(instrument, self._price)):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True


class Steady:
    """An account whose orders nobody may cancel: it guards none, though it comes and goes."""

    def __init__(self, urls: list[str]) -> None:
        self.orders: list[int] = []
        self.stopping = False
        self._urls = urls

    async def place(self) -> None:
        """Place its orders, before anything breaks."""
        client = await insist(self._urls[0], "steady")
        for number in range(STEADY_ORDERS):
            self.orders.append((await client.place(NAMES[number % len(NAMES)], "buy", Ticks(STEADY_PRICE), Lots(1))).order)
        await drop(client)

    async def trade(self) -> None:
        """Come and go."""
        for number in range(1, 1 << 30):
            if self.stopping:
                break
            client = await insist(self._urls[number % len(self._urls)], "steady")
            await asyncio.sleep(0.2)
            await drop(client)


class Revoked:
    """Subjects that an administrator has revoked: confirmed to be, by any gateway, while anything breaks."""

    def __init__(self, urls: list[str], chance: random.Random) -> None:
        self.names: list[str] = []
        self._urls = urls
        self._chance = chance

    async def revoke(self) -> None:
        """Revoke another one, and again until that is confirmed."""
        name = f"revoked{len(self.names)}"
        while True:
            client = Client(self._chance.choice(self._urls), signed("root", "admin"))
            try:
                async with asyncio.timeout(5):
                    await client.open()
                    await client.request(Revoke, Confirmed, name)
                break
            except (ClientError, TimeoutError):
                await asyncio.sleep(0.1)
            finally:
                await client.close()
        self.names.append(name)

    async def let_in(self) -> int:
        """How many sign-ins of them any gateway takes, all of which must be up."""
        return sum([await self._is_let_in(url, name) for url in self._urls for name in self.names])

    async def _is_let_in(self, url: str, name: str) -> bool:
        while True:
            client = Client(url, signed(name))
            try:
                await client.open()
                return True
            except SignInRefused:
                return False
            except ClientError:
                await asyncio.sleep(0.1)
            finally:
                await client.close()


def make_crowd(folder: Path, orders: int, orders_max: int) -> None:
    """A journal of a market that has so many open orders."""
    config = msgspec.structs.replace(CONFIG, orders_max=orders_max, journal_segment_bytes=32 << 20)
    now = time.time_ns()
    history = recover(Disk(), str(folder), config, [], now)
    assert history.opened
    journal = SteppedJournal(history.opened.writer)
    market = Market(config, [key_of("HS256", SECRET)], [], now, history, journal)

    def carry_out() -> None:
        market.tick(now)
        journal.sync()
        market.tick(now)

    market.open_account("crowd", now, lambda account, code: None)
    for _ in range(3):
        carry_out()
    account = market.account_of("crowd")
    market.sequencer.commands.deposit(account, market.exchange.asset("USD"), 10**17, now)
    for first in range(0, orders, CROWD_GROUP):
        for number in range(first, min(orders, first + CROWD_GROUP)):
            market.sequencer.commands.place(account, 0, 0, 1 + number % CROWD_LEVELS, 1, time=now)
        carry_out()
    assert market.exchange.order_count == orders
    history.opened.writer.close()
    Disk().close(history.opened.lock)
