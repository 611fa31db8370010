"""The exchange with which a market begins: a new one, or one recovered from a journal, with everything that the configuration and the sources need.

Everything that is done here to an exchange is written to its journal, like any command.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import msgspec

from engine import Commands, EventKind, Exchange
from stream.commands.directory import ChannelStates, Directory, Entry, KeptAccount, SourceAccounts
from stream.commands.listing import Listing, check, enlist, news_of
from stream.commands.results import Results
from stream.feed.feed import Feed
from stream.journal.entries import OF_ENTRIES, OF_GROUPS, entry_in, group_in
from stream.journal.files import Files
from stream.journal.format import Buffer, Kind, Record
from stream.journal.recovery import Opened, Visit, open_journal
from stream.journal.snapshots import State
from stream.journal.writer import JournalOptions
from stream.settings.config import Config, ConfigError
from stream.sources import Source

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


def _news(look: Callable[..., Listing], exchange: Exchange, config: Config, sources: Sequence[Source]) -> Listing:
    """What is configured and does not exist yet, if it can be, as far as `look` does. Raises ConfigError if it cannot."""
    try:
        return look(
            exchange, Listing(config.assets, [terms.instrument() for terms in config.instruments]),
            *(Listing(dict(source.assets), list(source.instruments)) for source in sources),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_terms(exchange: Exchange, config: Config, sources: Sequence[Source]) -> None:
    """Raises ConfigError if a configured asset or instrument already exists with other terms."""
    _news(news_of, exchange, config, sources)


def _list(exchange: Exchange, config: Config, sources: Sequence[Source]) -> Listing:
    """Add the assets and instruments that are configured but do not exist yet. Returns which these were."""
    listing = _news(check, exchange, config, sources)
    enlist(exchange, listing)
    return listing


def _prepare(history: History, config: Config, sources: Sequence[Source], now: int, write: Write) -> History:
    """List what is new, and let the sources begin."""
    exchange, directory, feed = history.exchange, history.directory, history.feed
    listing = _list(exchange, config, sources)
    if listing:
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
