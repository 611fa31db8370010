"""The exceptions that a client raises."""

from stream.wire.messages import Error


class ClientError(Exception):
    """The client cannot reach the server, or cannot do what was asked. It is the base class of all exceptions of a client."""


class ConnectionLost(ClientError):
    """The connection was lost. A request that was under way may or may not have reached the server. The client does not send it again."""


class Closed(ClientError):
    """The client was closed, the channel was unsubscribed, or the server told the client not to come back."""


class RequestRefused(ClientError):
    """The server refused a request. `code` is an ErrorCode, and `order` is the order that the error is about (0 for none)."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.message} ({error.code})")
        self.code = error.code
        self.order = error.order


class SignInRefused(ConnectionLost):
    """The server does not accept the token, or no longer accepts it: it has expired, it was revoked, or the server does not know it. The text says which."""


class TooSlow(ClientError):
    """A consumer was too slow: more than ITEMS_MAX items of a lossless channel waited for it."""
