"""Order books of PyPI, one adapter each. They keep one book an instrument, no balances, and report no trades as they are run here.

`pip install '.[peers]'` installs them all.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Protocol


class Peer(Protocol):
    """Another engine. Side 0 buys, 1 sells; prices in ticks, sizes in lots."""

    def place(self, id: int, instrument: int, side: int, price: int, size: int) -> None:
        """Place a limit order."""

    def cancel(self, id: int, instrument: int) -> None:
        """Cancel an open order."""

    def live(self) -> int | None:
        """How many orders are open; None if it does not tell."""


class LimitOrderBook:
    """https://pypi.org/project/limit-order-book: C++ behind ctypes, from version 3 on (Python 3.13) behind Cython."""

    def __init__(self, instruments: int) -> None:
        book = import_module("limit_order_book").LimitOrderBook
        self._books: list[Any] = [book() for _ in range(instruments)]

    def place(self, id: int, instrument: int, side: int, price: int, size: int) -> None:
        if side:
            self._books[instrument].limit_sell(id, size, price)
        else:
            self._books[instrument].limit_buy(id, size, price)

    def cancel(self, id: int, instrument: int) -> None:
        self._books[instrument].cancel(id)

    def live(self) -> int | None:
        return sum(int(book.count()) for book in self._books)


class OrderlyChaos:
    """https://pypi.org/project/orderly-chaos: C++ behind ctypes."""

    def __init__(self, instruments: int) -> None:
        module = import_module("orderly_chaos")
        self._books: list[Any] = [module.LimitOrderBook() for _ in range(instruments)]
        self._sides = (module.Side.BUY, module.Side.SELL)

    def place(self, id: int, instrument: int, side: int, price: int, size: int) -> None:
        self._books[instrument].limit(self._sides[side], id, size, price)

    def cancel(self, id: int, instrument: int) -> None:
        self._books[instrument].cancel(id)

    def live(self) -> int | None:
        return sum(int(book.count()) for book in self._books)


class Liquibook:
    """https://pypi.org/project/liquibook: C++ behind SWIG. It finds an order to cancel by the object that was placed."""

    def __init__(self, instruments: int) -> None:
        module = import_module("liquibook")
        self._books: list[Any] = [module.DepthOrderBook() for _ in range(instruments)]
        self._order: Callable[[bool, int, int], Any] = module.SimpleOrder
        self._orders: dict[int, Any] = {}

    def place(self, id: int, instrument: int, side: int, price: int, size: int) -> None:
        order = self._orders[id] = self._order(side == 0, price, size)
        self._books[instrument].add(order)

    def cancel(self, id: int, instrument: int) -> None:
        self._books[instrument].cancel(self._orders.pop(id))

    def live(self) -> int | None:
        return None


class Nothing:
    """What the loop and an adapter cost by themselves."""

    def __init__(self, instruments: int) -> None:
        self._books = [None] * instruments

    def place(self, id: int, instrument: int, side: int, price: int, size: int) -> None:
        if side:
            self._books[instrument]
        else:
            self._books[instrument]

    def cancel(self, id: int, instrument: int) -> None:
        self._books[instrument]

    def live(self) -> int | None:
        return None


_PEERS: dict[str, tuple[str, Callable[[int], Peer]]] = {
    "limit-order-book": ("limit_order_book", LimitOrderBook),
    "liquibook": ("liquibook", Liquibook),
    "orderly-chaos": ("orderly_chaos", OrderlyChaos),
}


def installed() -> dict[str, Callable[[int], Peer]]:
    """What makes an engine with so many books, by name and version, for the peers that are installed."""
    return {f"{name} {version(name)}": make for name, (module, make) in _PEERS.items() if find_spec(module)}
