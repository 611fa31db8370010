"""The numbers of errors and of close codes, and what a client should do about each."""

from enum import IntEnum


class Code(IntEnum):
    """An integer constant that carries one line for the reference."""

    text: str

    def __new__(cls, value: int, text: str = "") -> "Code":
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class ErrorCode(Code):
    """Numbers of `error` messages. 100-199 the message, 200-299 who asks, 300-399 channels, 400-499 what the engine refuses (400 + its reason), 500-599 the server."""

    MALFORMED = 100, "The message cannot be read; the text says where and what was expected. Correct it."
    TOO_MANY_REQUESTS = 101, "Too many messages in too short a time. Send again, slower."
    TOO_LONG = 102, "A time is longer than the server allows. Ask for a shorter one."
    KEY_FORGOTTEN = 103, "The request may have been carried out, so long ago that the server does not remember its key. Look at one's orders and balances, and use another key if it was not."
    NOT_SIGNED_IN = 200, "This needs a token. Sign in first."
    BAD_TOKEN = 201, "The token was refused; the text says why. Get another one."
    MISSING_SCOPE = 202, "The token does not allow this. Get one with the scope that the text names."
    TOO_MANY_SIGN_INS = 204, "Too many tokens from one address in too short a time. Send it again, later."
    ANOTHER_SUBJECT = 203, "A connection keeps the subject that it signed in with. Open another connection."
    UNKNOWN_CHANNEL = 300, "There is no such channel; the text names the kinds."
    UNKNOWN_INSTRUMENT = 301, "There is no such instrument. Ask for `instruments`."
    TOO_MANY_SUBSCRIPTIONS = 302, "The connection has as many subscriptions as it may have. Unsubscribe from some."
    PUBLIC_ONLY = 303, "This server relays public channels only. Ask the server that it relays for orders, and for one's own channels."
    UNKNOWN_SUBJECT = 310, "Nobody of that name has ever signed in."
    UNKNOWN_ACCOUNT = 403, "The account does not exist."
    UNKNOWN_ORDER = 405, "The account has no such open order."
    UNKNOWN_OPTION = 406, "Type, time in force and options do not go together; `engine/REFERENCE.md` says which do."
    PRICE_OUT_OF_RANGE = 407, "The price, or the trigger, is outside of the instrument's range."
    SIZE_TOO_SMALL = 408, "The size, or what is to be displayed of it, is below the instrument's minimum."
    SIZE_TOO_LARGE = 409, "The size is above the instrument's or the account's maximum, or `min_size` is above the size."
    NOTIONAL_TOO_LARGE = 410, "Price times size is above the instrument's or the account's maximum, or more than the exchange can count."
    INSUFFICIENT_FUNDS = 411, "The account has not enough available."
    DUPLICATE_CLIENT_ID = 412, "The account has used this client id already; `order` is the order that has it."
    POST_ONLY_WOULD_TAKE = 413, "The post-only order would have taken."
    UNFILLABLE = 414, "Not enough can be filled at once: the whole of `fok`, `min_size`, or with `quote` a single lot."
    TOO_MANY_ORDERS = 415, "The exchange, the instrument or the account has as many open orders as it may."
    AMOUNT_OUT_OF_RANGE = 416, "The amount is not positive, or more than the exchange can count."
    TOO_MANY_ACCOUNTS = 417, "The exchange has as many accounts as it may. Come back later."
    HALTED = 423, "The instrument is halted and takes only what cancels or reduces. Wait for the phase `trading`, which the ticker tells."
    WRONG_PHASE = 424, "The instrument collects orders for an auction: only `limit` orders that stay, without `post_only` and `min_size`."
    ALREADY_EXPIRED = 425, "The order expires at a time that has passed."
    NO_REFERENCE = 426, "A trailing stop follows the last trade, and there was none yet."
    NOT_LINKABLE = 427, "A pair is of one instrument and side, at least one of the two waits for a trigger, and neither has a partner."
    PRICE_OUT_OF_BAND = 428, "The limit is too far from the instrument's reference price."
    TOO_MANY_PARTS = 429, "The iceberg would show itself in more parts than the instrument's `parts_max`. Display more of it."
    TOO_MANY_STOPS = 430, "As many stops wait in the book as the instrument's `stops_max`. Come back later."
    TOO_MANY_FILLS = 431, "The order could meet more orders than the instrument's `fills_max`. Send a smaller size."
    INTERNAL = 500, "The server made a mistake and has logged it. Try again later."
    OUTCOME_UNKNOWN = 501, "The disk, or the way to the server that runs the orders, failed before the outcome was known. Send the same `key`, or `client_id`, again when the server is back."
    FROZEN = 502, "The disk has failed: the server takes no more requests, and what it shows is as of the last one that is on disk. Come back later."
    DISK_NEARLY_FULL = 503, "The disk is nearly full: only what cancels an open order is taken, and what reduces one for the first time. Come back later."
    PAST_ONLY = 504, "This server plays a history that is over: it takes no requests that would change it."

    NO_ENGINE = 505, "This server has lost the one that runs the orders: what it shows is as of `stale`, and it takes no requests. Send it again, or elsewhere."
    TOO_LATE = 506, "The request took too long to get to the server that runs the orders, and was not carried out. Send it again."
    BAD_GROUP = 507, "What this server passed on for the request cannot be run, and was not: the two servers' versions differ. Send it elsewhere, or later."
    TOO_MANY_WAITING = 508, "As many requests wait here for the server that runs the orders as may. This one was not carried out. Send it again, later or elsewhere."


FINAL_FROM = 4500
"""Close codes from here on tell a client not to come back."""


class CloseCode(Code):
    """Codes of the close frame. Clients come back after 4000-4499, with growing and jittered delays, and do not after 4500-4999."""

    SLOW_CONSUMER = 4000, "The client did not read: too many replies waited for it, or a write for too long. Come back and resume."
    TOKEN_EXPIRED = 4001, "The token has expired. Come back with a newer one, or without, for the public channels."
    SHUTTING_DOWN = 4002, "The server is leaving. Come back and resume."
    TOO_MANY_CONNECTIONS = 4003, "The address, or the account, has as many connections as it may, or opens them too fast. Come back later."
    DISCONNECTED = 4004, "The exchange's own people have closed the connection. Come back later."
    IDLE = 4005, "Nothing came from the client for too long, not even an answer to a ping; or it neither signed in nor subscribed. Come back and resume."
    NO_ACCOUNT = 4006, "The subject of the token has no account, and none can be opened at the moment. Come back later."
    ABUSE = 4500, "Too many messages that cannot be read, tokens that were refused, or requests. Correct the client."
    REVOKED = 4501, "The token has been revoked. Come back with a new one, or without, for the public channels."
