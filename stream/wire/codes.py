"""The numbers of errors and the close codes, and what a client should do about each."""

from enum import IntEnum


class Code(IntEnum):
    """An integer constant with a text: what happened, and then what to do."""

    text: str

    def __new__(cls, value: int, text: str = "") -> "Code":
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class ErrorCode(Code):
    """Numbers of `error` messages. 100-199: the message; 200-299: the sender; 300-399: channels; 400-499: refused by the engine (400 + its reason); 500-599: the server."""

    MALFORMED = 100, "The server cannot read the message; the text says where and what was expected. Correct the message."
    TOO_MANY_REQUESTS = 101, "The client sent too many messages in too short a time. Send the message again, and send more slowly."
    TOO_LONG = 102, "A time is longer than the server allows. Ask for a shorter one."
    KEY_FORGOTTEN = 103, "The request may already have been carried out, so long ago that the server no longer remembers its key. Look at your orders and balances. If it was not carried out, send it again with another key."
    NOT_SIGNED_IN = 200, "This needs a token. Sign in first."
    BAD_TOKEN = 201, "The token was refused; the text says why. Get another one."
    MISSING_SCOPE = 202, "The token does not allow this. Get a token with the scope that the text names."
    TOO_MANY_SIGN_INS = 204, "Too many tokens came from one address in too short a time. Send the token again later."
    ANOTHER_SUBJECT = 203, "The token is for another subject, but a connection keeps the subject that it first signed in with. Open another connection."
    UNKNOWN_CHANNEL = 300, "There is no such channel; the text names the kinds that exist."
    UNKNOWN_INSTRUMENT = 301, "There is no such instrument. Send `instruments` for a list."
    TOO_MANY_SUBSCRIPTIONS = 302, "The connection already has as many subscriptions as it may have. Unsubscribe from some."
    PUBLIC_ONLY = 303, "This server is a relay and has public channels only. For orders and for own channels, connect to the server that it relays."
    UNKNOWN_SUBJECT = 310, "No subject of that name has ever signed in."
    NOT_QUEUED = 311, "The order is open, but in no queue that is shown: it waits for its trigger, or the instrument collects orders for an auction. Ask again when that is over."
    BAD_LISTING = 312, "The instrument cannot be listed with these terms; the text says why. Correct the terms."
    UNKNOWN_ACCOUNT = 403, "The account does not exist."
    UNKNOWN_ASSET = 404, "There is no such asset. Send `instruments` for a list of instruments with their assets."
    UNKNOWN_ORDER = 405, "The account has no such open order."
    UNKNOWN_OPTION = 406, "The type, the time in force and the options of the order cannot be combined; `engine/REFERENCE.md` says which ones can."
    PRICE_OUT_OF_RANGE = 407, "The price or the trigger is outside the instrument's range."
    SIZE_TOO_SMALL = 408, "The size, or the part of it that is displayed, is below the instrument's minimum."
    SIZE_TOO_LARGE = 409, "The size is above the maximum of the instrument or of the account, or `min_size` is above the size."
    NOTIONAL_TOO_LARGE = 410, "Price times size is above the maximum of the instrument or of the account, or larger than the exchange can count."
    INSUFFICIENT_FUNDS = 411, "The account does not have enough available."
    DUPLICATE_CLIENT_ID = 412, "The account has already used this client id; `order` is the order that has it."
    POST_ONLY_WOULD_TAKE = 413, "The post-only order would have taken from the book."
    UNFILLABLE = 414, "Not enough can be filled at once: not all of a `fok` order, not `min_size`, or with `quote` not a single lot."
    TOO_MANY_ORDERS = 415, "The exchange, the instrument or the account already has as many open orders as it may have."
    AMOUNT_OUT_OF_RANGE = 416, "The amount is not positive, or it is larger than the exchange can count; or a fee is outside of the instrument's range."
    TOO_MANY_ACCOUNTS = 417, "The exchange already has as many accounts as it may have. Come back later."
    HALTED = 423, "The instrument is halted: only requests that cancel or reduce orders are taken. Wait for the phase `trading`, which the ticker shows."
    WRONG_PHASE = 424, "The instrument collects orders for an auction: it takes only `limit` orders that stay in the book, without `post_only` and `min_size`."
    ALREADY_EXPIRED = 425, "The order would expire at a time that has already passed."
    NO_REFERENCE = 426, "A trailing stop follows the last trade, but there has been no trade yet."
    NOT_LINKABLE = 427, "The orders cannot be linked: both must be in the same instrument and on the same side, at least one must wait for a trigger, and neither may have a partner."
    PRICE_OUT_OF_BAND = 428, "The limit is too far from the instrument's reference price."
    TOO_MANY_PARTS = 429, "The iceberg would be displayed in more parts than the instrument's `parts_max`. Display more of it at a time."
    TOO_MANY_STOPS = 430, "As many stops already wait in the book as the instrument's `stops_max` allows. Come back later."
    TOO_MANY_FILLS = 431, "The order could meet more orders than the instrument's `fills_max` allows. Send a smaller size."
    ACCOUNT_FROZEN = 432, "An administrator has frozen the account: it can only cancel and reduce orders. Ask the operator."
    NOT_LISTED = 433, "The instrument is delisted: it takes no orders any more. Look for another instrument."
    INTERNAL = 500, "The server failed because of a mistake of its own, and has logged it. Try again later."
    OUTCOME_UNKNOWN = 501, "The disk, or the connection to the server that runs the orders, failed before the outcome was known. When the server is back, send the request again with the same `key` or `client_id`."
    FROZEN = 502, "The disk has failed: the server takes no more requests, and it shows the market as of the last request that is on disk. Come back later."
    DISK_NEARLY_FULL = 503, "The disk is nearly full: the server takes only requests that cancel an open order, or that reduce one for the first time. Come back later."
    PAST_ONLY = 504, "This server plays the history of a market again: it takes no requests that would change the market."

    NO_ENGINE = 505, "This server has lost its connection to the server that runs the orders: it shows the market as of `stale`, and takes no requests. Send the request again, or send it to another server."
    TOO_LATE = 506, "The request took too long to reach the server that runs the orders, and was not carried out. Send it again."
    BAD_GROUP = 507, "The server that runs the orders cannot run what this server passed on, and did not carry it out: the two servers have different versions. Send the request to another server, or later."
    TOO_MANY_WAITING = 508, "Too many requests of this connection, or of all connections, are already under way. This one was not carried out. Send it again when others have been answered, or send it to another server."
    NO_HISTORY = 509, "This server keeps no history of orders and trades, or it cannot write it any more. Ask another server, or have its operator set `history`."
    NO_UPSTREAM = 510, "This relay has lost its connection to the server that it relays, which has what was asked for. Send the request again, or send it to another server."


FINAL_FROM = 4500
"""Close codes from this one on tell a client not to come back."""


class CloseCode(Code):
    """Codes of the close frame. A client comes back after 4000-4499, with growing and jittered delays. It does not come back after 4500-4999."""

    SLOW_CONSUMER = 4000, "The client did not read: too many replies waited for it, or a write waited too long. Come back and resume."
    TOKEN_EXPIRED = 4001, "The token has expired. Come back with a newer token, or without one for the public channels."
    SHUTTING_DOWN = 4002, "The server is shutting down. Come back and resume."
    TOO_MANY_CONNECTIONS = 4003, "The address or the account has as many connections as it may have, or opens them too fast. Come back later."
    DISCONNECTED = 4004, "An administrator of the exchange has closed the connection. Come back later."
    IDLE = 4005, "The client sent nothing for too long, not even an answer to a ping; or it neither signed in nor subscribed in time. Come back and resume."
    NO_ACCOUNT = 4006, "The subject of the token has no account, and the server cannot open one at the moment. Come back later."
    ABUSE = 4500, "The client sent too many messages that cannot be read, tokens that were refused, or requests. Correct the client."
    REVOKED = 4501, "The token has been revoked. Come back with a new token, or without one for the public channels."
