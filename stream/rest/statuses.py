"""The HTTP status of each error, and what HTTP wants to be said with it."""

from stream.rest.named import plain
from stream.server.http_message import Answer
from stream.wire.codec import JSON
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.messages import Error

STATUSES: dict[int, int] = {
    ErrorCode.MALFORMED: 400, ErrorCode.UNKNOWN_CHANNEL: 400, ErrorCode.BAD_LISTING: 400,
    ErrorCode.NOT_SIGNED_IN: 401, ErrorCode.BAD_TOKEN: 401, CloseCode.TOKEN_EXPIRED: 401, CloseCode.REVOKED: 401,
    ErrorCode.MISSING_SCOPE: 403, ErrorCode.PUBLIC_ONLY: 403, ErrorCode.PAST_ONLY: 403,
    ErrorCode.UNKNOWN_INSTRUMENT: 404, ErrorCode.UNKNOWN_SUBJECT: 404, ErrorCode.UNKNOWN_ACCOUNT: 404, ErrorCode.UNKNOWN_ASSET: 404,
    ErrorCode.UNKNOWN_ORDER: 404,
    ErrorCode.TOO_LONG: 409, ErrorCode.NOT_QUEUED: 409, ErrorCode.KEY_FORGOTTEN: 409,
    ErrorCode.TOO_MANY_REQUESTS: 429, ErrorCode.TOO_MANY_SIGN_INS: 429, ErrorCode.TOO_MANY_SUBSCRIPTIONS: 429,
    CloseCode.TOO_MANY_CONNECTIONS: 429, CloseCode.ABUSE: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.OUTCOME_UNKNOWN: 504,
}
"""Other refusals of the engine (400 to 499) are 409: what is asked does not go with the state of the market or the account. All else is 503."""

RETRY_AFTER_S = 1


def status_of(code: int) -> int:
    """The HTTP status of an error's number."""
    return STATUSES.get(code, 409 if 400 <= code < 500 else 503)


def refused(code: int, text: str, status: int = 0, order: int = 0, **headers: str) -> Answer:
    """The answer that says an error."""
    status = status or status_of(code)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Answer(status, JSON.encode(plain(Error(0, code, text, order))), headers)
