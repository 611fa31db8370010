"""User data streams of connections: those of the WebSocket API, which have numbers, and those that a listen key opens."""

from stream.dialects.binance.connection import Connection
from stream.dialects.binance.user_events import Said, terminated


class Numbered:
    """A stream of the WebSocket API."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.micro = connection.micro
        self.number = number
        self._connection = connection

    def tell(self, said: Said) -> None:
        """Send an event."""
        self._connection.say({"subscriptionId": self.number, "event": said})

    def terminate(self, now: int) -> None:
        """No more comes."""
        self.tell(terminated(now, self.micro))
        self._connection.end_stream(self)


class Keyed:
    """A stream that a listen key has opened."""

    def __init__(self, connection: Connection, key: str) -> None:
        self.micro = connection.micro
        self._connection = connection
        self._key = key

    def tell(self, said: Said) -> None:
        """Send an event."""
        self._connection.say({"stream": self._key, "data": said} if self._connection.combined else said)

    def terminate(self, now: int) -> None:
        """No more comes."""
        self.tell(terminated(now, self.micro) | {"e": "listenKeyExpired", "listenKey": self._key})
        self._connection.end_stream(self)
