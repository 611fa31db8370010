"""The commands that administrators give a market, and the steps of those that are too large for one command."""

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import NamedTuple, Protocol

from msgspec.structs import asdict, replace

from engine import Event, Exchange, Instrument, Phase
from stream.commands.listing import Listing, check
from stream.commands.results import Reply, Result
from stream.feed.feed import Feed
from stream.feed.hub import Refused
from stream.market.gathering import CommandPath
from stream.market.history import ALL_INSTRUMENTS
from stream.wire.administration import (
    Delist,
    Deposit,
    Freeze,
    ListInstrument,
    MassCancel,
    Operation,
    PayFees,
    SetBand,
    SetFees,
    SetLimits,
    SetPhase,
    SetReference,
    SetTier,
    Transfer,
    Withdraw,
)
from stream.wire.codes import ErrorCode

WIRE_PHASES: Mapping[str, Phase] = {phase.name.lower(): phase for phase in Phase}
ALL_ACCOUNTS = 0xFFFFFFFF

CANCELS_AT_ONCE = 1000
"""The most orders that a mass cancel ends in one command, so that it does not keep the clients waiting."""

OF_TRANSFERS = 1 << 53
"""Added to the keys of transfers, since those of orders are below it: neither is ever taken for the other."""


def listing_of(request: ListInstrument, assets: Mapping[str, int]) -> Listing:
    """What is to be listed where there are these assets. Raises ValueError if a new asset has no decimals."""
    terms = asdict(request)
    news = {}
    for asset, decimals in ((request.base, terms.pop("base_decimals")), (request.quote, terms.pop("quote_decimals"))):
        if decimals is None and asset not in assets:
            raise ValueError(f"asset {asset!r}: there is none of that name; expected the number of decimals of a new one, or one of {', '.join(assets)}")
        news[asset] = assets[asset] if decimals is None else decimals
    terms |= {"tick": Decimal(request.tick), "lot": Decimal(request.lot), "name": terms.pop("instrument")}
    return Listing(news, [Instrument(**{name: terms[name] for name in Instrument._fields})])


class MassCancelling(NamedTuple):
    """A mass cancel that is under way: of an account or of an instrument, or of all of them. So many orders it has cancelled."""

    account: int
    instrument: int
    cancelled: int
    done: Reply


class Operated(Protocol):
    """What operations need of a market."""

    exchange: Exchange
    feed: Feed
    sequencer: CommandPath

    def index_of(self, instrument: str) -> int:
        """The index of an instrument. Raises Refused if there is none of that name."""
        ...

    def account_of(self, subject: str) -> int:
        """A subject's account. Raises Refused if there is none."""
        ...

    def check_key(self, account: int, sent: int, now: int) -> None:
        """Raises Refused if a request with an unknown key must not count as a new one."""
        ...


class Operations:
    """Carries out what administrators ask of the engine. `due` are the mass cancels whose next command is due."""

    def __init__(self, market: Operated) -> None:
        self._market = market
        self.due: list[MassCancelling] = []
        self._clearing: set[int] = set()    # delisted instruments whose orders are being cancelled
        self._looked_at: tuple[Feed, int] | None = None    # the terms at which they were looked for last

    def begin(self, request: Operation, now: int, done: Reply) -> None:
        """Put a command into the next group, then call `done` with its result. Raises Refused if there is no such instrument, account or asset."""
        commands = self._market.sequencer.commands
        match request:
            case SetPhase():
                commands.set_phase(self._market.index_of(request.instrument), WIRE_PHASES[request.phase], now)
            case ListInstrument():
                self._list(request, done)
                return
            case Delist():
                commands.delist(self._market.index_of(request.instrument), request.delisted, now)
            case SetBand():
                commands.set_band(self._market.index_of(request.instrument), request.band, now)
            case SetReference():
                commands.set_reference(self._market.index_of(request.instrument), request.price, now)
            case SetLimits():
                commands.set_limits(self._market.account_of(request.subject), request.orders_max, request.size_max, request.notional_max, now)
            case SetFees():
                commands.set_fees(self._market.index_of(request.instrument), request.tier, request.maker, request.taker, now)
            case SetTier():
                commands.set_tier(self._market.account_of(request.subject), request.tier, now)
            case Freeze():
                account = self._market.account_of(request.subject)
                commands.freeze(account, request.frozen, now)
                if request.cancel:
                    done = self._then_cancel(account, done)
            case MassCancel():
                self._begin_mass_cancel(request, now, done)
                return
            case Deposit() | Withdraw() | PayFees():
                self._transfer(request, now, done)
                return
        self._market.sequencer.expect(done)

    def _transfer(self, request: Transfer, now: int, done: Reply) -> None:
        """Move money of an account. With a key that it has used before, `done` gets the result of the first time."""
        account, key = self._market.account_of(request.subject), request.key and request.key | OF_TRANSFERS
        try:
            asset = self._market.exchange.asset(request.asset)
        except KeyError:
            raise Refused(ErrorCode.UNKNOWN_ASSET, f"asset {request.asset!r}: expected one of {', '.join(self._market.exchange.assets())}") from None
        if key:
            if self._market.sequencer.repeats(account, key, done):
                return
            self._market.check_key(account, request.sent, now)
        commands = self._market.sequencer.commands
        transfer = commands.deposit if isinstance(request, Deposit) else commands.withdraw if isinstance(request, Withdraw) else commands.pay_fees
        transfer(account, asset, request.amount, now)
        self._market.sequencer.expect(done, account, key)

    def _list(self, request: ListInstrument, done: Reply) -> None:
        """Have an instrument listed. Then `done` gets its result: there may be another one of that name by then."""
        exchange = self._market.exchange
        try:
            listing = listing_of(request, exchange.assets())
            check(exchange, listing)
        except ValueError as error:
            raise Refused(ErrorCode.BAD_LISTING, str(error)) from error

        def told(known: bool) -> None:
            there = [book.instrument for book in self._market.exchange.books if book.instrument.name == request.instrument]
            reason = 0 if there == listing.instruments else ErrorCode.BAD_LISTING - 400
            done(Result(self._market.exchange.seq, reason, 0) if known else None, None)

        self._market.sequencer.enlist(listing, told)

    def _begin_mass_cancel(self, request: MassCancel, now: int, done: Reply) -> None:
        if request.subject and request.instrument is not None:
            raise Refused(ErrorCode.MALFORMED, "expected a subject, an instrument, or neither")
        account = self._market.account_of(request.subject) if request.subject else ALL_ACCOUNTS
        index = ALL_INSTRUMENTS if request.instrument is None else self._market.index_of(request.instrument)
        self._cancel_some(MassCancelling(account, index, 0, done), now)

    def _then_cancel(self, account: int, done: Reply) -> Reply:
        """Wraps the reply of a request after which the orders of an account are cancelled."""

        def told(result: Result | None, outcome: Event | None) -> None:
            if result is None or result.reason:
                done(result, outcome)
            else:
                self.due.append(MassCancelling(account, ALL_INSTRUMENTS, 0, done))

        return told

    def _cancel_some(self, cancelling: MassCancelling, now: int) -> None:
        """Have the next orders cancelled. If there may be more, the rest is due in a later tick."""

        def told(result: Result | None, outcome: Event | None) -> None:
            if result is None or result.reason:
                cancelling.done(result, outcome)
                return
            count = cancelling.cancelled + result.count
            if result.count < CANCELS_AT_ONCE:
                cancelling.done(replace(result, count=count), outcome)
            else:
                self.due.append(cancelling._replace(cancelled=count))

        self._market.sequencer.commands.mass_cancel(CANCELS_AT_ONCE, cancelling.account, cancelling.instrument, now)
        self._market.sequencer.expect(told)

    def go_on(self, now: int) -> None:
        """Have each mass cancel that is under way end some more orders."""
        due, self.due = self.due, []
        for cancelling in due:
            self._cancel_some(cancelling, now)

    def clear_delisted(self) -> None:
        """Have the orders of delisted instruments cancelled, whoever has delisted them. O(1), and O(instruments) after a change of their terms."""
        at = self._market.feed, self._market.feed.terms_changes
        if self._looked_at == at:
            return
        self._looked_at = at
        for book in self._market.exchange.books:
            if book.phase == Phase.DELISTED and book.order_count and book.index not in self._clearing:
                self._clearing.add(book.index)
                self.due.append(MassCancelling(ALL_ACCOUNTS, book.index, 0, partial(self._cleared, book.index)))

    def _cleared(self, instrument: int, result: Result | None, outcome: Event | None) -> None:
        self._clearing.discard(instrument)

    def ease(self, request: Operation) -> bool:
        """Whether a request ends the trading of an instrument, or ends orders."""
        match request:
            case SetPhase(phase="halt"):
                return self._market.exchange.books[self._market.index_of(request.instrument)].phase != Phase.HALT
            case Delist(delisted=True):
                return self._market.exchange.books[self._market.index_of(request.instrument)].phase != Phase.DELISTED
            case MassCancel(subject=""):
                return self._market.exchange.order_count > 0
            case MassCancel():
                return bool(self._market.exchange.orders(self._market.account_of(request.subject)))
        return False
