"""Order flow for a server that has no users yet: recorded or simulated markets, as commands that become due in time.

A source uses no clock and no socket. It says when its next step is due, and appends the commands of that step.
"""

from collections.abc import Mapping
from typing import Protocol

from engine import Commands, Exchange, Instrument


class Source(Protocol):
    """A source of order flow. Its own accounts trade; other accounts may place and take orders in the same books at any time."""

    @property
    def name(self) -> str:
        """What its accounts are remembered by."""
        ...

    @property
    def assets(self) -> dict[str, int]:
        """The decimals of the assets that it needs, by name."""
        ...

    @property
    def instruments(self) -> list[Instrument]:
        """What it trades."""
        ...

    @property
    def account_count(self) -> int:
        """How many accounts it needs."""
        ...

    def open(self, exchange: Exchange, accounts: list[int], commands: Commands, time: int = 0) -> None:
        """Take its accounts, which have no orders, and append what funds them and places the opening books. The exchange has its assets and instruments."""
        ...

    def next_time(self) -> int:
        """When the next step is due, in ns since the source's start. Never goes back."""
        ...

    def step(self, commands: Commands, time: int) -> None:
        """Append the commands that are due, stamped with `time`. They are to be executed before the next step."""
        ...


def refill(commands: Commands, exchange: Exchange, account: int, amounts: Mapping[int, int], time: int) -> None:
    """Append commands that bring an account back to an amount of each asset, available and held together, as far as it is available."""
    for asset, amount in amounts.items():
        available, held = exchange.balance(account, asset)
        missing = amount - available - held
        if missing > 0:
            commands.deposit(account, asset, missing, time=time)
        elif missing < 0 < available:
            commands.withdraw(account, asset, min(available, -missing), time=time)
