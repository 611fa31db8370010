"""The venue's numbered errors, with its words where clients compare them."""

from typing import NamedTuple


class ErrorKind(NamedTuple):
    """An error's number, its text with a place for what it is about, and the HTTP status that goes with it."""

    code: int
    text: str
    status: int = 400


UNKNOWN = ErrorKind(-1000, "An unknown error occurred while processing the request.", 500)
DISCONNECTED = ErrorKind(-1001, "Internal error; unable to process your request. Please try again.", 503)
TOO_MUCH_WEIGHT = ErrorKind(
    -1003,
    "Too much request weight used; current limit is {} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API.",
    429,
)
TOO_MANY_CONNECTIONS = ErrorKind(-1003, "Too many connections from this address; current limit is the server's setting `connections_per_address_max`.", 429)
UNSUPPORTED = ErrorKind(-1020, "This operation is not supported.", 404)
BAD_BODY = ErrorKind(-1135, "Invalid body: expected a form in UTF-8 of at most 1 MB.")
BAD_HANDSHAKE = ErrorKind(-1130, "Data sent for the WebSocket handshake is not valid.")
ILLEGAL_CHARACTERS = ErrorKind(-1100, "Illegal characters found in parameter '{}'; legal range is '{}'.")
TOO_MANY_PARAMETERS = ErrorKind(-1101, "Too many parameters; expected '{}' and received '{}'.")
DUPLICATE_PARAMETER = ErrorKind(-1101, "Duplicate values for parameter '{}'.")
MISSING_PARAMETER = ErrorKind(-1102, "Mandatory parameter '{}' was not sent, was empty/null, or malformed.")
EITHER_PARAMETER = ErrorKind(-1102, "Param '{}' or '{}' must be sent, but both were empty/null.")
UNREAD_PARAMETERS = ErrorKind(-1104, "Not all sent parameters were read; read '{}' parameter(s) but was sent '{}'.")
EMPTY_PARAMETER = ErrorKind(-1105, "Parameter '{}' was empty.")
BAD_INTERVAL = ErrorKind(-1120, "Invalid interval.")
BAD_SYMBOL = ErrorKind(-1121, "Invalid symbol.")
BAD_COMBINATION = ErrorKind(-1128, "Combination of optional parameters invalid.")
BAD_PARAMETER = ErrorKind(-1130, "Data sent for parameter '{}' is not valid.")


class ApiError(Exception):
    """A request is refused with one of the errors."""

    def __init__(self, kind: ErrorKind, *about: object) -> None:
        super().__init__(kind.code, kind.text.format(*about))
        self.kind = kind
        self.text = kind.text.format(*about)
