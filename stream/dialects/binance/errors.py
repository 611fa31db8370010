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
TOO_MANY_WAITING = ErrorKind(-1003, "Too many requests queued.", 429)
TOO_MANY_CONNECTIONS = ErrorKind(-1003, "Too many connections from this address; current limit is the server's setting `connections_per_address_max`.", 429)
OUTCOME_UNKNOWN = ErrorKind(-1006, "An unexpected response was received from the message bus. Execution status unknown.", 503)
OVERLOADED = ErrorKind(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes. ({})", 503)
FILTER = ErrorKind(-1013, "Filter failure: {}")
CLOSED_MARKET = ErrorKind(-1013, "Market is closed.")
BAD_QUANTITY = ErrorKind(-1013, "Invalid quantity.")
BAD_PRICE = ErrorKind(-1013, "Invalid price.")
TOO_MANY_ORDERS = ErrorKind(-1015, "Too many new orders; current limit is {} orders per {}.", 429)
UNSUPPORTED = ErrorKind(-1020, "This operation is not supported.", 404)
TOO_MANY_ARRIVALS = ErrorKind(-1003, "Too many connections are opened from this address; current limit is the server's setting `arrivals_per_s`.", 429)
BAD_JSON = ErrorKind(-1135, "Invalid JSON Request")
BAD_REQUEST = ErrorKind(-1135, "Invalid JSON Request: '{}' is not valid.")
UNKNOWN_METHOD = ErrorKind(-1134, "Unknown method.")
TOO_MANY_STREAMS = ErrorKind(-1034, "Too many user data streams on this connection.", 429)
BAD_BODY = ErrorKind(-1135, "Invalid body: expected a form in UTF-8 of at most 1 MB.")
BAD_HANDSHAKE = ErrorKind(-1130, "Data sent for the WebSocket handshake is not valid.")
AHEAD = ErrorKind(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
LATE = ErrorKind(-1021, "Timestamp for this request is outside of the recvWindow.")
BAD_SIGNATURE = ErrorKind(-1022, "Signature for this request is not valid.")
NOT_LOGGED_ON = ErrorKind(-1102, "Mandatory parameter 'apiKey' was not sent, was empty/null, or malformed.")
ILLEGAL_CHARACTERS = ErrorKind(-1100, "Illegal characters found in parameter '{}'; legal range is '{}'.")
NOT_TEXT = ErrorKind(-1100, "Illegal characters found in a parameter.")
TOO_MANY_PARAMETERS = ErrorKind(-1101, "Too many parameters; expected '{}' and received '{}'.")
DUPLICATE_PARAMETER = ErrorKind(-1101, "Duplicate values for parameter '{}'.")
MISSING_PARAMETER = ErrorKind(-1102, "Mandatory parameter '{}' was not sent, was empty/null, or malformed.")
EITHER_PARAMETER = ErrorKind(-1102, "Param '{}' or '{}' must be sent, but both were empty/null.")
UNREAD_PARAMETERS = ErrorKind(-1104, "Not all sent parameters were read; read '{}' parameter(s) but was sent '{}'.")
EMPTY_PARAMETER = ErrorKind(-1105, "Parameter '{}' was empty.")
NOT_REQUIRED = ErrorKind(-1106, "Parameter '{}' sent when not required.")
BAD_TIME_IN_FORCE = ErrorKind(-1115, "Invalid timeInForce.")
BAD_TYPE = ErrorKind(-1116, "Invalid orderType.")
BAD_SIDE = ErrorKind(-1117, "Invalid side.")
BAD_INTERVAL = ErrorKind(-1120, "Invalid interval.")
BAD_LISTEN_KEY = ErrorKind(-1125, "This listenKey does not exist.")
BAD_SYMBOL = ErrorKind(-1121, "Invalid symbol.")
BAD_COMBINATION = ErrorKind(-1128, "Combination of optional parameters invalid.")
BAD_PARAMETER = ErrorKind(-1130, "Data sent for parameter '{}' is not valid.")
WIDE_WINDOW = ErrorKind(-1131, "recvWindow must be less than 60000.")
NOT_IN_A_LIST = ErrorKind(-1158, "Order type not supported in OCO.")
LIMIT_NOT_BELOW = ErrorKind(-1165, "A limit order in a buy OCO must be below.")
LIMIT_NOT_ABOVE = ErrorKind(-1166, "A limit order in a sell OCO must be above.")
BOTH_LIMIT = ErrorKind(-1168, "At least one OCO order must be contingent.")
ORDER_REJECTED = ErrorKind(-2010, "{}")
CANCEL_REJECTED = ErrorKind(-2011, "{}")
NO_ORDER = ErrorKind(-2013, "Order does not exist.")
NO_LIST = ErrorKind(-2013, "Order list does not exist.")
BAD_KEY_FORMAT = ErrorKind(-2014, "API-key format invalid.", 401)
BAD_KEY = ErrorKind(-2015, "Invalid API-key, IP, or permissions for action.", 401)
REPLACED_IN_PART = ErrorKind(-2021, "Order cancel-replace partially failed.", 409)
NOT_REPLACED = ErrorKind(-2022, "Order cancel-replace failed.", 400)
AMEND_REJECTED = ErrorKind(-2038, "The requested action would change no state; rejecting.")


class ApiError(Exception):
    """A request is refused with one of the errors."""

    def __init__(self, kind: ErrorKind, *about: object) -> None:
        super().__init__(kind.code, kind.text.format(*about))
        self.kind = kind
        self.text = kind.text.format(*about)
        self.data: object = None    # what some of them tell besides
        self.retry_after = 0    # in seconds
