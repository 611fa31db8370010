"""The names of channels, and who may listen to them."""

from typing import NamedTuple

BOOK = "orderbook"
BY_ORDER = "market_by_order"
TRADES = "trades"
TICKER = "ticker"
ORDERS = "orders"
BALANCES = "balances"

PUBLIC = (BOOK, BY_ORDER, TRADES, TICKER)
PRIVATE = (ORDERS, BALANCES)

MARKET_SCOPE = "market"
ACCOUNT_SCOPE = "account"
TRADE_SCOPE = "trade"
ADMIN_SCOPE = "admin"


class ChannelName(NamedTuple):
    """A channel's kind and, for public ones, its instrument."""

    kind: str
    instrument: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.instrument}" if self.instrument else self.kind

    @property
    def private(self) -> bool:
        """Whether the channel tells about the token's own subject."""
        return self.kind in PRIVATE

    @property
    def scope(self) -> str:
        """The scope that a token needs for it."""
        return ACCOUNT_SCOPE if self.private else MARKET_SCOPE


def parse(name: str) -> ChannelName:
    """The parts of a channel's name. Raises ValueError, which says what was expected."""
    kind, _, instrument = name.partition(":")
    if (kind in PUBLIC and instrument) or (kind in PRIVATE and name == kind):
        return ChannelName(kind, instrument)
    public = ", ".join(f"{kind}:<instrument>" for kind in PUBLIC)
    raise ValueError(f"channel {name!r}: expected {public}, {' or '.join(PRIVATE)}")
