"""Every error that a user can get, as one table: what happened, what was expected, what to do. `python -m stream.client.error_table` prints it."""

from collections.abc import Iterator

from stream.client import errors as raised
from stream.wire.codes import CloseCode, Code, ErrorCode

E, C = ErrorCode, CloseCode

EXPECTED: dict[Code, tuple[str, str]] = {
    E.MALFORMED: ("An array: a tag, an id, and the fields of that message", ""),
    E.TOO_MANY_REQUESTS: ("At most `messages_per_s` and `messages_burst` of the welcome, each channel of a subscription counted; of orders, what the text names", ""),
    E.TOO_LONG: ("At most the setting `grace_s_max`", ""),
    E.KEY_FORGOTTEN: ("A repetition while the server remembers the key", ""),
    E.NOT_SIGNED_IN: ("A token in the handshake's `Authorization`, or `login`", ""),
    E.BAD_TOKEN: ("A token of the configured issuer and audience, signed with a key that the server knows, not yet expired, not revoked", ""),
    E.MISSING_SCOPE: ("The scope `market`, `account`, `trade` or `admin`", ""),
    E.TOO_MANY_SIGN_INS: ("At most the settings `sign_ins_per_s` and `sign_ins_burst`", ""),
    E.ANOTHER_SUBJECT: ("The subject of the connection's first token", ""),
    E.UNKNOWN_CHANNEL: ("`orderbook:`, `trades:` or `ticker:` and an instrument; `orders`; `balances`", "Correct the name."),
    E.UNKNOWN_INSTRUMENT: ("A name of the list of instruments", ""),
    E.TOO_MANY_SUBSCRIPTIONS: ("At most `subscriptions_max` of the welcome", "Unsubscribe from some, or open another connection."),
    E.PUBLIC_ONLY: ("Public channels", ""),
    E.UNKNOWN_SUBJECT: ("Somebody who has an account", "Correct the subject."),
    E.UNKNOWN_ACCOUNT: ("An account that was opened", "Sign in."),
    E.UNKNOWN_ORDER: ("The id, or the client id, of an open order of the account's own", "Look at the channel `orders`: it may be filled or cancelled already."),
    E.UNKNOWN_OPTION: ("A combination that the reference of the engine has", "Correct the order."),
    E.PRICE_OUT_OF_RANGE: ("1 to `price_max` ticks", "Correct the price."),
    E.SIZE_TOO_SMALL: ("At least `size_min` lots", "Send a larger size."),
    E.SIZE_TOO_LARGE: ("At most `size_max` lots, and the account's own limit", "Send a smaller size, or several orders."),
    E.NOTIONAL_TOO_LARGE: ("At most `notional_max`, and the account's own limit", "Send a smaller size, or several orders."),
    E.INSUFFICIENT_FUNDS: ("What the order could cost, with its fee, available", "Look at the channel `balances`: open orders hold some."),
    E.DUPLICATE_CLIENT_ID: ("A client id that the account has not used", "Take the order of the id for the answer, if this is a repetition; otherwise use another id."),
    E.POST_ONLY_WOULD_TAKE: ("A price that does not cross the book", "Send another price, or `slide`."),
    E.UNFILLABLE: ("So much on the other side, within the limit", "Send a smaller size, another limit, or another time in force."),
    E.TOO_MANY_ORDERS: ("At most the settings `orders_max`, of the exchange, the instrument and the account", "Cancel some."),
    E.AMOUNT_OUT_OF_RANGE: ("1 unit or more, and with all accounts together at most 2^62", "Correct the amount."),
    E.TOO_MANY_ACCOUNTS: ("At most the setting `accounts_max`", ""),
    E.HALTED: ("The phase `trading`", ""),
    E.WRONG_PHASE: ("The phase `trading`, or an order that an auction takes", "Wait for the phase, which the ticker tells."),
    E.ALREADY_EXPIRED: ("`expires` in the future, in ns since 1970", "Correct the time."),
    E.NO_REFERENCE: ("A trade in the instrument before", "Send a stop with a price, or wait."),
    E.NOT_LINKABLE: ("An open order of the same instrument and side without a partner", "Correct `linked`."),
    E.PRICE_OUT_OF_BAND: ("At most `band` parts per million from the reference", "Send another price."),
    E.TOO_MANY_PARTS: ("A size of at most `parts_max` times `display`", ""),
    E.TOO_MANY_STOPS: ("At most `stops_max`", ""),
    E.TOO_MANY_FILLS: ("At most `fills_max` orders to be met", ""),
    E.INTERNAL: ("No mistake of the server's", ""),
    E.OUTCOME_UNKNOWN: ("The command on disk, and its outcome told", ""),
    E.FROZEN: ("A disk that takes what is written", ""),
    E.DISK_NEARLY_FULL: ("At least `journal_reserve_bytes` left on the disk", ""),
    E.PAST_ONLY: ("A reading request", "Ask a live server."),
    E.NO_ENGINE: ("A connection to the engine", ""),
    E.TOO_LATE: ("At most `command_patience_ms` from the gateway to the engine", ""),
    E.BAD_GROUP: ("Gateways and engine of one version", ""),
    E.TOO_MANY_WAITING: ("Fewer requests that wait for the engine", ""),
    C.SLOW_CONSUMER: ("Reading as fast as replies come", ""),
    C.TOKEN_EXPIRED: ("`login` with a newer token before that", ""),
    C.SHUTTING_DOWN: ("Nothing", ""),
    C.TOO_MANY_CONNECTIONS: ("At most the settings `connections_per_address_max`, `connections_per_account_max` and `handshakes_per_s`", ""),
    C.DISCONNECTED: ("Nothing", ""),
    C.IDLE: ("An answer to the server's pings, and within `sign_in_timeout_s` a token or a subscription", ""),
    C.NO_ACCOUNT: ("Room for one more account", ""),
    C.ABUSE: ("At most `errors_max` messages that cannot be read or come too fast", ""),
    C.REVOKED: ("A token that was not revoked", ""),
}
"""Of each code what was expected, and what to do, if the code's own text does not end with that."""

HANDSHAKE = (
    ("400", "The request is no WebSocket handshake", "RFC 6455: GET, HTTP/1.1, `Upgrade: websocket`, a key and version 13", "Use a WebSocket client."),
    ("401", "The token is refused, for good", "As for 201", "Come back with another one, or without, for the public channels."),
    ("401 with `Retry-After`", "The keys cannot be had at the moment", "A key set that answers", "Come back after that time, with the same token."),
    ("403", "A page of this origin may not connect", "The server's own page, or one of the setting `origins`", "Add the origin to the settings."),
    ("404", "There is nothing at this path", "`/v1`", "Correct the address."),
    ("429", "Too many connections from one address in too short a time", "At most the settings `arrivals_per_s` and `handshakes_per_s`", "Come back later."),
    ("503", "The server starts, leaves, or is full", "A server that is there", "Come back later; clients do."),
)

EXCEPTIONS: dict[type[Exception], tuple[str, str]] = {
    raised.ClientError: ("A server that can be reached, answers with a handshake and a welcome in time, and speaks `deltabook.v1`", "The text says which failed. A client that is open tries again by itself."),
    raised.ConnectionLost: ("The connection, until the answer", "The client comes back by itself, and so do its channels. Send an order again with the same `key`."),
    raised.SignInRefused: ("A token that the server takes", "Public channels go on. `login` with a new one, or give a callable, which is asked for one."),
    raised.RequestRefused: ("See its `code`, above", "See its `code`."),
    raised.TooSlow: ("A reader, or a callback, that keeps up", "Do less for each item, or read the state of the channel's mirror instead."),
    raised.Closed: ("A client that is open, a channel that is subscribed", "The text says who closed it, and why. Open another client."),
    ValueError: ("Decimal text that is a whole number of ticks, lots or units, or that number; a list of channels", "Correct the argument: nothing was sent."),
    TypeError: ("A function of one argument, or a coroutine function", "Correct the argument: nothing was sent."),
}


def halves(code: Code) -> tuple[str, str]:
    """What a code says: what happened, and what to do, if that is there."""
    when, _, rest = code.text.partition(". ")
    return when.rstrip("."), rest


def rows(kind: type[Code]) -> Iterator[str]:
    """A row of the table for each code."""
    for code in kind:
        when, rest = halves(code)
        expected, to_do = EXPECTED[code]
        yield f"| {int(code)} | `{code.name}` | {when} | {expected} | {to_do or rest} |"


def errors() -> str:
    """The whole page, in Markdown."""
    lines = [
        "# Errors\n\nEvery error that a user of the server or of the Python client can get. Generated by `make docs`; the text of an error says what it was in your case.",
        "\n## Numbers of `error` messages\n\n| code | name | what happened | what was expected | what to do |\n|---|---|---|---|---|", *rows(ErrorCode),
        "\n## Close codes\n\nA client comes back after 4000 to 4499, with growing and jittered delays. After 4500 to 4999 it does not, but for 4501.",
        "\n| code | name | what happened | what was expected | what to do |\n|---|---|---|---|---|", *rows(CloseCode),
        "\n## Answers to a handshake\n\n| status | what happened | what was expected | what to do |\n|---|---|---|---|",
        *(f"| {status} | {when} | {expected} | {to_do} |" for status, when, expected, to_do in HANDSHAKE),
        "\n## What the Python client raises\n\n| exception | what happened | what was expected | what to do |\n|---|---|---|---|",
    ]
    for kind, (expected, to_do) in EXCEPTIONS.items():
        when = (kind.__doc__ or "").partition("\n")[0] if kind.__module__ == raised.__name__ else "An argument cannot be what it is to be."
        lines.append(f"| `{kind.__name__}` | {when} | {expected} | {to_do} |")
    lines.append(
        "\n## Configuration\n\nWhat a setting cannot be is one line on standard error, with the setting's name, what it was and what was expected, and exit status 2. "
        "[Settings](configuration.md) has each one's range."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(errors(), end="")
