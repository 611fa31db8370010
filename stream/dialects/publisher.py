"""All streams that somebody listens to, and when each is told."""

import logging
from collections.abc import Callable
from typing import Any

from stream.dialects.connection import Connection
from stream.dialects.market_data import MarketData
from stream.dialects.topic import Class, Topic
from stream.wire.times import MILLISECOND, NEVER

log = logging.getLogger("deltabook")

FAST = 100 * MILLISECOND
SLOW = 1000 * MILLISECOND
LOOK_AGAIN = 20 * MILLISECOND
"""How soon a connection whose socket was full is looked at again."""


class Publisher:
    """The topics of one market. All of one class are told at the same instants, so that the slow books are the fast ones as they were just told."""

    def __init__(self, data: MarketData[Any], find: Callable[[Any], Topic[Any] | None], now: int) -> None:
        """`find` makes the topic of a stream's name, if there is one."""
        self._data = data
        self._find = find
        self._topics: dict[Any, Topic[Any]] = {}
        self._of_class: dict[Class, dict[Topic[Any], None]] = {each: {} for each in Class}
        self._next_fast, self._next_slow = _after(now, FAST), _after(now, SLOW)
        self._to_write: set[Connection] = set()
        self._written: set[Connection] = set()    # those of which it is not known whether they take more
        self._stalled: set[Connection] = set()    # those that have missed something

    def subscribe(self, connection: Connection, name: Any, now: int) -> Topic[Any] | None:
        """Let a connection listen to a stream; None if there is none of that name."""
        topic = self._topics.get(name)
        if topic is None:
            topic = self._find(name)
            if topic is None:
                return None
            topic.begin(now)
            self._topics[name] = topic
            self._of_class[topic.often][topic] = None
        topic.join(connection, now)
        return topic

    def unsubscribe(self, connection: Connection, name: Any) -> None:
        """Let a connection listen to a stream no longer."""
        topic = self._topics[name]
        del topic.listeners[connection]
        if not topic.listeners:
            topic.end()
            del self._topics[name], self._of_class[topic.often][topic]

    def to_write(self, connection: Connection) -> None:
        """Have a connection write what it has to say at the end of the turn."""
        self._to_write.add(connection)

    def write(self) -> None:
        """Write what connections have to say."""
        waiting, self._to_write = self._to_write, set()
        for connection in waiting:
            connection.write()

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._to_write.discard(connection)
        self._written.discard(connection)
        self._stalled.discard(connection)

    def wrote(self, connection: Connection) -> None:
        """Look at a connection before it is told more."""
        self._written.add(connection)

    def stall(self, connection: Connection) -> None:
        """Look at a connection until it has caught up."""
        self._stalled.add(connection)

    def publish(self, now: int) -> int:
        """Tell what is due; when the next telling is due, in ns. O(topics that are due, and what they have to say)."""
        for connection in self._written | self._stalled:
            connection.look(now)
            if connection.ready:
                self._written.discard(connection)
                self._stalled.discard(connection)
        self._tell(Class.INSTANT, now)
        if now >= self._next_fast:
            self._next_fast = _after(now, FAST)
            self._data.emit()
            self._tell(Class.FAST, now)
            if now >= self._next_slow:
                self._next_slow = _after(now, SLOW)
                self._tell(Class.SLOW, now)
        again = now + LOOK_AGAIN if self._stalled else NEVER
        timed = self._of_class[Class.FAST] or self._of_class[Class.SLOW]
        fast = self._next_fast if timed and self._data.followed else NEVER
        slow = self._next_slow if self._of_class[Class.SLOW] else NEVER
        return min(again, fast, slow)

    def _tell(self, often: Class, now: int) -> None:
        for topic in list(self._of_class[often]):
            try:
                topic.publish(now)
            except Exception:
                log.exception("a stream caused an error", extra={"stream": topic.name})

    @property
    def topics(self) -> int:
        """How many streams somebody listens to."""
        return len(self._topics)


def _after(now: int, interval: int) -> int:
    """The next instant of a class: a multiple of its interval."""
    return (now // interval + 1) * interval
