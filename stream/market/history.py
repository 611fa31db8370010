"""The exchange with which a market begins: a new one, or one recovered from a journal, with everything that the configuration and the sources need.

Everything that is done here to an exchange is written to its journal, like any command.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import NamedTuple

import msgspec

from engine import MONEY_MAX, Commands, EventKind, Exchange, Instrument
from stream.commands.directory import ChannelStates, Directory, Entry, KeptAccount, SourceAccounts
from stream.commands.results import Results
from stream.feed.feed import Feed
from stream.journal.entries import OF_ENTRIES, OF_GROUPS, entry_in, group_in
from stream.journal.files import Files
from stream.journal.format import Buffer, Kind, Listing, Record
from stream.journal.recovery import Opened, Visit, open_journal
from stream.journal.snapshots import State
from stream.journal.writer import JournalOptions
from stream.settings.config import Config, ConfigError
from stream.sources import Source
from stream.wire.scale import to_text

ALL_INSTRUMENTS = 0xFFFF
OF_COMMANDS = Kind.COMMANDS, Kind.KEYED_COMMANDS, *OF_GROUPS

Write = Callable[[list[tuple[Kind, Buffer, int]]], None]


class History(NamedTuple):
    """The state that the past of a market has led to. `time` is the latest time that was written, in ns since 1970. `opened` is its journal, if it has one."""

    exchange: Exchange
    directory: Directory
    results: Results
    epoch: int
    time: int
    feed: Feed
    opened: Opened | None = None


def follow(feed: Feed, record: Record) -> None:
    """Take in what a record that has just been applied has changed."""
    if record.kind in OF_COMMANDS:
        feed.apply(record.time)
    elif record.kind == Kind.LISTING:
        feed.add_books()
    for entry in entries_of(record):
        keep(feed, entry)


def entries_of(record: Record) -> Iterable[Entry]:
    """What a record says is to be remembered from now on."""
    if record.kind in OF_ENTRIES:
        return [entry_in(record)]
    return group_in(record).entries if record.kind in OF_GROUPS else ()


def keep(feed: Feed, entry: Entry) -> None:
    """Keep an account's events from now on, or no longer, if that is what an entry says."""
    match entry:
        case Entry(KeptAccount(account), None):
            feed.forget_account(account)
        case Entry(KeptAccount(account)):
            feed.keep_account(account)


def feeding(config: Config, feeds: list[Feed]) -> Visit:
    """Builds a feed during a replay: the channels as they were after the last record, which it puts into `feeds`."""

    def visit(state: State, record: Record | None) -> None:
        if not feeds:
            feeds.append(Feed(state.exchange, config))
            restore_channels(feeds[0], state.directory)
        elif record:
            follow(feeds[0], record)

    return visit


def restore_channels(feed: Feed, directory: Directory) -> None:
    """Take the state of the channels out of the directory of a snapshot, and into the channels."""
    states = directory.pop(ChannelStates(), None)
    if isinstance(states, bytes):
        feed.restore(states)


def with_channels(feed: Feed, directory: Directory) -> Directory:
    """The directory of a snapshot, which has the state of the channels too."""
    return {**directory, ChannelStates(): feed.dump()}


DECIMALS_MAX = 12
"""The most decimals of an asset. With this many, 4.6 million of it can be counted."""

STEP_MIN, STEP_MAX = Decimal("1e-30"), Decimal("1e30")
"""The smallest and the largest tick or lot. Anything beyond is a mistake, and would be long to print."""


def begin(config: Config, sources: Sequence[Source], now: int) -> History:
    """A history without a journal, whose epoch is the time. Raises ConfigError if the configuration is not possible."""
    return _prepare(_new(config, sources, now // 10**6, now), config, sources, now, lambda records: None)


def go_on(state: State, feed: Feed, config: Config, sources: Sequence[Source], now: int) -> History:
    """The history of a state that is at hand, without a journal. ConfigError if what is configured cannot be."""
    history = History(exchange=state.exchange, directory=state.directory, results=state.results, epoch=state.epoch, time=state.time, feed=feed)
    return _prepare(history, config, sources, max(now, state.time), lambda records: None)


def recover(
    files: Files, folder: str, config: Config, sources: Sequence[Source], now: int, trial: AbstractContextManager[None] | None = None,
) -> History:
    """The history that is in a journal's folder, or a new one that is written there. ConfigError, or what `open_journal` raises. `trial` is around the replay.

    Replaying costs about 0.3 us for each command after the last snapshot, and the same again for each of their trades.
    """
    options = JournalOptions(config.journal_segment_bytes, reserve_bytes=config.journal_reserve_bytes)
    feeds: list[Feed] = []
    opened = open_journal(files, folder, options, now // 10**6, feeding(config, feeds), trial)
    try:
        if opened.replay:
            state = opened.replay.state
            state.directory.pop(ChannelStates(), None)
            history = History(
                exchange=state.exchange, directory=state.directory, results=state.results, epoch=state.epoch, time=state.time, feed=feeds[0],
                opened=opened,
            )
        else:
            history = _new(config, sources, opened.writer.epoch, now)._replace(opened=opened)
            opened.writer.commit([(Kind.GENESIS, history.exchange.snapshot(), now)])
        return _prepare(history, config, sources, max(now, history.time), opened.writer.commit)
    except BaseException:
        opened.writer.close()
        files.close(opened.lock)
        raise


def _new(config: Config, sources: Sequence[Source], epoch: int, now: int) -> History:
    exchange = Exchange(config.orders_max, config.accounts_max, config.tombstones_max, config.client_ids_max, secrets.randbits(128))
    _list(exchange, config, sources)
    return History(exchange=exchange, directory={}, results=Results(), epoch=epoch, time=now, feed=Feed(exchange, config))


def _configured(config: Config, sources: Sequence[Source]) -> list[tuple[Mapping[str, int], Sequence[Instrument]]]:
    listed: list[tuple[Mapping[str, int], Sequence[Instrument]]] = [(config.assets, [terms.instrument() for terms in config.instruments])]
    return listed + [(source.assets, source.instruments) for source in sources]


def check_terms(exchange: Exchange, config: Config, sources: Sequence[Source]) -> None:
    """Raises ConfigError if a configured asset or instrument already exists with other terms."""
    for assets, instruments in _configured(config, sources):
        _check_terms(exchange, assets, instruments)


def _check_terms(exchange: Exchange, assets: Mapping[str, int], instruments: Sequence[Instrument]) -> None:
    there = {book.instrument.name: book.instrument for book in exchange.books}
    for name, decimals in assets.items():
        if exchange.assets().get(name, decimals) != decimals:
            raise ConfigError(f"asset {name!r} already has {exchange.assets()[name]} decimals: expected the same, not {decimals}")
    for instrument in instruments:
        before = there.get(instrument.name, instrument)
        if before != instrument:
            changed = [f"{field} {getattr(before, field)}" for field in instrument._fields if getattr(before, field) != getattr(instrument, field)]
            raise ConfigError(f"instrument {instrument.name!r} is in the journal with other terms: {', '.join(changed)}; to change them, use a new name")


def _countable(name: str, decimals: int) -> int:
    """The decimals of an asset. Raises ConfigError if the engine's integers can hold so little of it that an account would soon have too much."""
    if decimals > DECIMALS_MAX:
        raise ConfigError(
            f"asset {name!r} has {decimals} decimals: expected at most {DECIMALS_MAX}. An amount is a whole number of units, of all accounts together "
            f"up to 2^62, which would be {to_text(MONEY_MAX, f'1e-{decimals}')[:4]} {name}; count it in a larger unit, such as 9 decimals (gwei, of Ether)"
        )
    return decimals


def _check_assets(instrument: Instrument, exchange: Exchange) -> None:
    """Raises ConfigError if the assets of an instrument do not exist, or if its tick or lot is not a valid step."""
    for asset in (instrument.base, instrument.quote):
        if asset not in exchange.assets():
            there = ", ".join(exchange.assets()) or "`assets`, which is empty"
            raise ConfigError(f"instrument {instrument.name!r}: there is no asset {asset!r}: expected one of {there}")
    for field in ("tick", "lot"):
        step = getattr(instrument, field)
        if not (step.is_finite() and STEP_MIN <= step <= STEP_MAX):
            raise ConfigError(f"instrument {instrument.name!r}: {field} {step}: expected a decimal number from {STEP_MIN} to {STEP_MAX}")


def _list(exchange: Exchange, config: Config, sources: Sequence[Source]) -> Listing:
    """Add the assets and instruments that are configured but do not exist yet. Returns which these were."""
    assets: dict[str, int] = {}
    instruments: list[Instrument] = []
    there = {book.instrument.name for book in exchange.books}
    configured = _configured(config, sources)
    try:
        for more_assets, more_instruments in configured:
            _check_terms(exchange, more_assets, more_instruments)
            for name, decimals in more_assets.items():
                if name not in exchange.assets():
                    exchange.add_asset(name, _countable(name, decimals))
                    assets[name] = decimals
        for _, more_instruments in configured:    # whose assets may be those of a source
            for instrument in more_instruments:
                if instrument.name not in there:
                    _check_assets(instrument, exchange)
                    exchange.add_instrument(instrument)
                    instruments.append(instrument)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return Listing(assets, instruments)


def _prepare(history: History, config: Config, sources: Sequence[Source], now: int, write: Write) -> History:
    """List what is new, and let the sources begin."""
    exchange, directory, feed = history.exchange, history.directory, history.feed
    listing = _list(exchange, config, sources)
    if listing.assets or listing.instruments:
        write([(Kind.LISTING, msgspec.msgpack.encode(listing), now)])
        feed.add_books()

    def run(commands: Commands) -> None:
        if len(commands):
            write([(Kind.COMMANDS, commands, now)])
            exchange.execute(commands)
            feed.apply(now)

    for source in sources:
        key, commands = SourceAccounts(source.name), Commands()
        known = directory.get(key)
        accounts = list(known) if isinstance(known, list) else []
        for account in accounts:
            commands.cancel_all(account, ALL_INSTRUMENTS, now)
        for _ in range(source.account_count - len(accounts)):
            commands.open_account(now)
        run(commands)
        if len(accounts) < source.account_count:
            accounts += [event.account for event in exchange.events if event.kind == EventKind.ACCOUNT_OPENED]
            entry = Entry(key, accounts)
            write([(Kind.ENTRY, msgspec.msgpack.encode(entry), now)])
            entry.change(directory)
        if len(accounts) < source.account_count:
            raise ConfigError(f"accounts_max {config.accounts_max}: the source {source.name!r} needs {source.account_count} accounts")
        commands = Commands()
        source.open(exchange, accounts, commands, now)
        run(commands)
    return history
