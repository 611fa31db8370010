"""What the venue's refusals are in this dialect."""

from typing import Any

from stream.dialects.binance.errors import (
    BAD_KEY,
    CANCEL_REJECTED,
    CLOSED_MARKET,
    FILTER,
    ORDER_REJECTED,
    OUTCOME_UNKNOWN,
    OVERLOADED,
    TOO_MANY_ORDERS,
    TOO_MANY_WAITING,
    UNSUPPORTED,
    ApiError,
    ErrorKind,
)
from stream.wire.codes import ErrorCode
from stream.wire.messages import Error

FILTERS = {
    ErrorCode.PRICE_OUT_OF_RANGE: "PRICE_FILTER", ErrorCode.SIZE_TOO_SMALL: "LOT_SIZE", ErrorCode.SIZE_TOO_LARGE: "LOT_SIZE",
    ErrorCode.NOTIONAL_TOO_LARGE: "NOTIONAL", ErrorCode.TOO_MANY_ORDERS: "MAX_NUM_ORDERS", ErrorCode.TOO_MANY_STOPS: "MAX_NUM_ALGO_ORDERS",
    ErrorCode.TOO_MANY_PARTS: "ICEBERG_PARTS", ErrorCode.PRICE_OUT_OF_BAND: "PERCENT_PRICE_BY_SIDE",
}

WORDS = {
    ErrorCode.INSUFFICIENT_FUNDS: "Account has insufficient balance for requested action.",
    ErrorCode.DUPLICATE_CLIENT_ID: "Duplicate order sent.",
    ErrorCode.POST_ONLY_WOULD_TAKE: "Order would immediately match and take.",
}
"""Those that clients compare."""

CLOSED = ErrorCode.HALTED, ErrorCode.NOT_LISTED, ErrorCode.WRONG_PHASE, ErrorCode.PAST_ONLY
NOT_ALLOWED = ErrorCode.NOT_SIGNED_IN, ErrorCode.MISSING_SCOPE, ErrorCode.PUBLIC_ONLY
REJECTED_FROM, REJECTED_TO = 400, 500


def refusal(answer: Any, orders_per_s: int, rejected: ErrorKind = ORDER_REJECTED) -> ApiError:
    """The error for an answer that says why a request was not carried out; None for one that never came."""
    if not isinstance(answer, Error):
        return ApiError(OUTCOME_UNKNOWN)
    code = answer.code
    if code == ErrorCode.OUTCOME_UNKNOWN:
        return ApiError(OUTCOME_UNKNOWN)
    if code == ErrorCode.TOO_MANY_REQUESTS:
        return ApiError(TOO_MANY_ORDERS, orders_per_s, "1 SECOND")
    if code == ErrorCode.TOO_MANY_WAITING:
        error = ApiError(TOO_MANY_WAITING)
        error.retry_after = 1
        return error
    if code in NOT_ALLOWED:
        return ApiError(BAD_KEY)
    if code in CLOSED:
        return ApiError(CLOSED_MARKET)
    if code == ErrorCode.NO_HISTORY:
        return ApiError(UNSUPPORTED)
    if code in FILTERS:
        return ApiError(FILTER, FILTERS[ErrorCode(code)])
    if code == ErrorCode.UNKNOWN_ORDER and rejected is not ORDER_REJECTED:
        return ApiError(CANCEL_REJECTED, "Unknown order sent.")
    if code in WORDS:
        return ApiError(rejected, WORDS[ErrorCode(code)])
    return ApiError(rejected if REJECTED_FROM <= code < REJECTED_TO else OVERLOADED, answer.message)
