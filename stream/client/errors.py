"""What a client raises."""

from stream.wire.messages import Error


class ClientError(Exception):
    """The root of what a client raises."""


class ConnectionLost(ClientError):
    """The connection went away. A request under way may or may not have reached the server; it is not sent again."""


class Closed(ClientError):
    """The client was closed, the channel unsubscribed, or the server said not to come back."""


class RequestRefused(ClientError):
    """The server refused a request: `code` is an ErrorCode, `order` the order that it concerns (0 for none)."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.message} ({error.code})")
        self.code = error.code
        self.order = error.order


class SignInRefused(ConnectionLost):
    """The server does not take the token, or no longer: it has expired, was revoked, or is none of its own. The text says which."""


class TooSlow(ClientError):
    """A consumer left more than ITEMS_MAX items of a lossless channel waiting."""
