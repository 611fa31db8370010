"""All conflations of one feed and their listeners, and the one loop over them."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

from stream.feed.channel import Channel, Channels, Point
from stream.feed.conflation import Conflation, Counters, Key, Pace, WindowConflation
from stream.feed.delivery import Outbox, Subscription
from stream.feed.public_channels import BookChannel
from stream.settings.config import Config
from stream.wire.channels import BALANCES, BOOK, BY_ORDER, ORDERS, PRIVATE, TICKER, TRADES, ChannelName, parse
from stream.wire.codec import Shared
from stream.wire.codes import ErrorCode
from stream.wire.messages import InForce, Subscribe
from stream.wire.times import MILLISECOND, NEVER

PRIORITY = (ORDERS, BALANCES, TRADES, BY_ORDER, BOOK, TICKER)
"""The order in which a tick's frames are sent: own events ahead of trades, ahead of books, ahead of tickers."""

NOBODY = -1
"""The account of public channels."""

ENDED_MAX = 16
"""Plans for conflations that have ended are kept until there are this many, and more of them than of other plans."""

Subscriptions = dict[ChannelName, Subscription]


class Refused(Exception):
    """A request is refused. It has the reason and what was expected; `limit` is the setting that was exceeded."""

    def __init__(self, code: ErrorCode, text: str = "", limit: str = "") -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text or code.text
        self.limit = limit


def at_least(wanted: int, choices: Iterable[int]) -> int | None:
    """The smallest choice that is at least what is wanted, None if there is none."""
    return min((choice for choice in choices if choice >= wanted), default=None)


class Plan(NamedTuple):
    """When a conflation is looked at again, in ns. `number` distinguishes plans."""

    due: int
    number: int
    conflation: Conflation


RANKS = {kind: rank for rank, kind in enumerate(PRIORITY)}


def rank(conflation: Conflation) -> int:
    """Whose frames come first in a write."""
    return RANKS[conflation.channel.name.partition(":")[0]]


def channel_of(text: str) -> ChannelName:
    """The channel with a name that a client sent. Raises Refused if there is none."""
    try:
        return parse(text)
    except ValueError as error:
        raise Refused(ErrorCode.UNKNOWN_CHANNEL, str(error)) from error


class Hub:
    """All conflations of one feed."""

    def __init__(self, feed: Channels, config: Config) -> None:
        self._feed = feed
        self._config = config
        self._conflations: dict[str, dict[Key, Conflation]] = {kind: {} for kind in PRIORITY}
        self._of_channel: dict[Channel, list[Conflation]] = {}
        self._flushes: list[Plan] = []       # of what has changed
        self._heartbeats: list[Plan] = []    # of every conflation, one
        self._number = count()
        self._ended = 0    # conflations that may still be planned
        self._left: dict[int, int] = {}    # account without subscriptions -> since when, in ns
        self.pace = Pace(config.heartbeat_ms * MILLISECOND, config.trade_flush_ms * MILLISECOND if config.trade_flush_ms else NEVER)
        self.counters = Counters()

    @property
    def conflations(self) -> list[Conflation]:
        """All conflations that anybody listens to."""
        return [conflation for conflations in self._conflations.values() for conflation in conflations.values()]

    def _terms(self, name: ChannelName, request: Subscribe) -> tuple[int, int]:
        """The depth and interval in force for what a client asks for: the nearest configured values that are no more work for the server."""
        config = self._config
        depth = interval = 0
        if name.kind == BOOK and request.depth:
            depth = at_least(request.depth, config.depths) or 0
        if name.kind in (BOOK, TICKER):
            wanted = config.interval_ms if request.interval_ms is None else request.interval_ms
            nearest = at_least(wanted, config.intervals_ms)
            interval = max(config.intervals_ms) if nearest is None else nearest
        return depth, interval

    def _conflation(self, name: ChannelName, account: int, depth: int, interval: int, at: Point) -> Conflation:
        key = (name.instrument, account if name.private else NOBODY, depth, interval)
        conflations = self._conflations[name.kind]
        if key not in conflations:
            channel = self._feed.account_channel(name.kind, account) if name.private else self._feed.public[str(name)]
            if isinstance(channel, BookChannel) and depth:
                conflations[key] = WindowConflation(key, channel, self.pace, self.counters, at)
            else:
                conflations[key] = Conflation(key, channel, self.pace, self.counters, at)
            channel.heard = True
            self._of_channel.setdefault(channel, []).append(conflations[key])
            self._plan(self._heartbeats, conflations[key].heartbeat_due, conflations[key])
            self._left.pop(key[1], None)
        return conflations[key]

    def subscribe(
        self, listener: Outbox, subscriptions: Subscriptions, names: list[ChannelName], account: int, request: Subscribe, at: Point
    ) -> tuple[Point, list[InForce], list[tuple[Subscription, Shared, int]]]:
        """Add subscriptions to different channels, all as of one point. A channel that is subscribed already takes on the new terms.

        Returns the point up to which they are all complete, what is in force, and the frames, each with its sequence, that the caller pushes behind its answer
        or leaves to the next time that the listener is brought up to date.
        """
        for name in names:
            if not name.private and str(name) not in self._feed.public:
                raise Refused(ErrorCode.UNKNOWN_INSTRUMENT, f"instrument {name.instrument!r}: there is no instrument of that name")
        in_force: list[InForce] = []
        frames: list[tuple[Subscription, Shared, int]] = []
        points = []
        for name in names:
            self.unsubscribe(subscriptions, [name], at)
            depth, interval = self._terms(name, request)
            conflation = self._conflation(name, account, depth, interval, at)
            subscription = Subscription(listener, conflation)
            frame, recovered, reason = conflation.join(subscription, request.resume.get(str(name)), at)
            subscriptions[name] = subscription
            subscription.in_force = InForce(str(name), recovered, reason, depth, interval)
            in_force.append(subscription.in_force)
            points.append(conflation.channel.point(at))
            if frame:
                frames.append((subscription, frame, points[-1].seq))
        return min(points), in_force, frames

    def unsubscribe(self, subscriptions: Subscriptions, names: Iterable[ChannelName], at: Point) -> list[ChannelName]:
        """End subscriptions; which of them there were."""
        ended = []
        for name in names:
            subscription = subscriptions.pop(name, None)
            if subscription:
                ended.append(name)
                del subscription.conflation.subscriptions[subscription]
                if not subscription.conflation.subscriptions:
                    self._end(name.kind, subscription.conflation, at)
        return ended

    def changed_at(self, channel: str) -> int:
        """The sequence of the last change of a public channel."""
        return self._feed.public[channel].seq

    def accounts_heard(self) -> set[int]:
        """The accounts to whose own channels anybody listens."""
        return {key[1] for kind in PRIVATE for key in self._conflations[kind]}

    def listeners(self, kind: str) -> dict[str, int]:
        """How many listen to each channel of a kind that anybody listens to, by the channel's name."""
        return {conflation.channel.name: len(conflation.subscriptions) for conflation in self._conflations[kind].values()}

    def adopt(self, feed: Channels) -> None:
        """Go on with the channels of another feed of the same market. All listeners get what is new there."""
        self._feed = feed
        self._of_channel = {}
        for kind, conflations in self._conflations.items():
            for conflation in conflations.values():
                account = conflation.key[1]
                channel = feed.public[conflation.channel.name] if account == NOBODY else feed.account_channel(kind, account)
                conflation.adopt(channel)
                channel.heard = True
                self._of_channel.setdefault(channel, []).append(conflation)
                feed.changed.add(channel)

    def _end(self, kind: str, conflation: Conflation, at: Point) -> None:
        """Drop a conflation that nobody listens to. An account's events are kept for a while."""
        del self._conflations[kind][conflation.key]
        channel = conflation.channel
        self._of_channel[channel].remove(conflation)
        if not self._of_channel[channel]:
            del self._of_channel[channel]
            channel.heard = False
        self._ended += 1
        if self._ended > ENDED_MAX + sum(map(len, self._conflations.values())):
            self._forget_ended()
        account = conflation.key[1]
        if account != NOBODY and not any(conflation.key in self._conflations[own] for own in PRIVATE):
            self._left[account] = at.now

    def _forget_ended(self) -> None:
        """Plan nothing for conflations that nobody listens to: they would be kept until then. O(1) for each of them."""
        self._ended = 0
        for plans in (self._flushes, self._heartbeats):
            plans[:] = [plan for plan in plans if plan.conflation.subscriptions]
            heapify(plans)

    def expect(self, accounts: Iterable[int], now: int) -> None:
        """Keep the events of these accounts in case their clients return, as if their last subscription had ended now."""
        self._left.update(dict.fromkeys(accounts, now))

    def forget_accounts(self, now: int) -> None:
        """Forget the events of accounts that nobody has listened to for longer than clients have to return."""
        for account, since in list(self._left.items()):
            if now - since > self._config.account_resume_s * 10**9:
                del self._left[account]
                self._feed.forget_account(account)

    def _plan(self, plans: list["Plan"], due: int, conflation: Conflation) -> None:
        heappush(plans, Plan(due, next(self._number), conflation))

    def _notice_changes(self, at: Point) -> list[Conflation]:
        """Plan the flushes of what has changed, but for what is due at once, as all that is lossless is. Returns that."""
        at_once = []
        for channel in self._feed.changed:
            for conflation in self._of_channel.get(channel, ()):
                if conflation.planned == NEVER:
                    conflation.changed(at)
                if conflation.lossless:
                    at_once.append(conflation)
                    continue
                due = conflation.due
                if due < conflation.planned:
                    conflation.planned = due
                    self._plan(self._flushes, due, conflation)
        self._feed.changed.clear()
        return at_once

    def flush(self, at: Point) -> int:
        """Send what is due; when the next flush is due, in ns. O(what has changed and what is due)."""
        due = self._notice_changes(at)
        while self._flushes and self._flushes[0].due <= at.now:
            planned, _, conflation = heappop(self._flushes)
            if planned == conflation.planned and conflation.subscriptions:
                conflation.planned = NEVER
                if conflation.due > at.now:    # the load has grown since this was planned
                    conflation.planned = conflation.due
                    self._plan(self._flushes, conflation.due, conflation)
                else:
                    due.append(conflation)
        beating = []
        while self._heartbeats and self._heartbeats[0].due <= at.now:
            conflation = heappop(self._heartbeats).conflation
            if conflation.subscriptions:
                beating.append(conflation)
                if conflation.heartbeat_due <= at.now and conflation.planned == NEVER and conflation not in due:
                    due.append(conflation)
        if len(due) > 1:
            due.sort(key=rank)
        for conflation in due:
            conflation.flush(at)
        for conflation in beating:
            beat = conflation.heartbeat_due
            self._plan(self._heartbeats, beat if beat > at.now else conflation.planned, conflation)
        return min(plans[0].due if plans else NEVER for plans in (self._flushes, self._heartbeats))

    def drained(self, subscriptions: Subscriptions, at: Point) -> None:
        """A listener can take more: send it one merged frame for each channel on which it is behind, as long as it takes them."""
        for kind in PRIORITY:
            for name, subscription in subscriptions.items():
                if name.kind == kind and subscription.behind and subscription.listener.takes_frames:
                    subscription.conflation.catch_up(subscription, at)
