"""A table of every error that a user can get: what happened, what was expected, what to do. `python -m stream.client.error_table` prints it."""

from collections.abc import Iterator

from stream.client import errors as raised
from stream.wire.codes import CloseCode, Code, ErrorCode

E, C = ErrorCode, CloseCode

EXPECTED: dict[Code, tuple[str, str]] = {
    E.MALFORMED: ("An array of a tag, an id, and the fields of that message", ""),
    E.TOO_MANY_REQUESTS: ("At most the `messages_per_s` and `messages_burst` of `welcome`, where each channel of a subscription counts; for orders, the limit that the text names", ""),
    E.TOO_LONG: ("At most the setting `grace_s_max`", ""),
    E.KEY_FORGOTTEN: ("The same request again while the server still remembers the key", ""),
    E.NOT_SIGNED_IN: ("A token in the `Authorization` header of the handshake, or `login`", ""),
    E.BAD_TOKEN: ("A token of the configured issuer and audience, signed with a key that the server knows, that has not expired and was not revoked", ""),
    E.MISSING_SCOPE: ("The scope `market`, `account`, `trade` or `admin`", ""),
    E.TOO_MANY_SIGN_INS: ("At most the settings `sign_ins_per_s` and `sign_ins_burst`", ""),
    E.ANOTHER_SUBJECT: ("The subject of the connection's first token", ""),
    E.UNKNOWN_CHANNEL: ("`orderbook:`, `market_by_order:`, `trades:` or `ticker:` and an instrument; `orders`; or `balances`", "Correct the name."),
    E.UNKNOWN_INSTRUMENT: ("A name from the list of instruments", ""),
    E.TOO_MANY_SUBSCRIPTIONS: ("At most the `subscriptions_max` of `welcome`", "Unsubscribe from some, or open another connection."),
    E.PUBLIC_ONLY: ("Public channels", ""),
    E.UNKNOWN_SUBJECT: ("A subject that has an account", "Correct the subject."),
    E.NOT_QUEUED: ("An order that rests in a book whose orders are shown", "Ask again when it does."),
    E.BAD_LISTING: ("Terms that fit together, and a name that no instrument with other terms has", ""),
    E.UNKNOWN_ACCOUNT: ("An account that has been opened", "Sign in."),
    E.UNKNOWN_ASSET: ("The name of an asset of some instrument", "Send `instruments`."),
    E.UNKNOWN_ORDER: ("The id, or the client id, of an open order of the same account", "Look at the channel `orders`: the order may already be filled or cancelled."),
    E.UNKNOWN_OPTION: ("A combination that `engine/REFERENCE.md` lists", "Correct the order."),
    E.PRICE_OUT_OF_RANGE: ("1 to `price_max` ticks", "Correct the price."),
    E.SIZE_TOO_SMALL: ("At least `size_min` lots", "Send a larger size."),
    E.SIZE_TOO_LARGE: ("At most `size_max` lots, and the account's own limit", "Send a smaller size, or several orders."),
    E.NOTIONAL_TOO_LARGE: ("At most `notional_max`, and the account's own limit", "Send a smaller size, or several orders."),
    E.INSUFFICIENT_FUNDS: ("Enough available for what the order could cost, with its fee", "Look at the channel `balances`: open orders hold some of the balance."),
    E.DUPLICATE_CLIENT_ID: ("A client id that the account has not used", "If this repeats an earlier request, take the order with that id as the answer. Otherwise use another id."),
    E.POST_ONLY_WOULD_TAKE: ("A price that does not cross the book", "Send another price, or set `slide`."),
    E.UNFILLABLE: ("Enough orders on the other side, within the limit", "Send a smaller size, another limit, or another time in force."),
    E.TOO_MANY_ORDERS: ("At most the `orders_max` of the exchange, the instrument and the account", "Cancel some orders."),
    E.AMOUNT_OUT_OF_RANGE: ("At least 1 unit, and in all accounts together at most 2^62 units", "Correct the amount."),
    E.TOO_MANY_ACCOUNTS: ("At most the setting `accounts_max`", ""),
    E.HALTED: ("The phase `trading`", ""),
    E.WRONG_PHASE: ("The phase `trading`, or an order that an auction takes", "Wait for the phase `trading`, which the ticker shows."),
    E.ALREADY_EXPIRED: ("An `expires` in the future, in ns since 1970", "Correct the time."),
    E.NO_REFERENCE: ("An earlier trade in the instrument", "Send a stop with a price, or wait for a trade."),
    E.NOT_LINKABLE: ("An open order of the same instrument and side that has no partner", "Correct `linked`."),
    E.PRICE_OUT_OF_BAND: ("A price at most `band` parts per million from the reference price", "Send another price."),
    E.TOO_MANY_PARTS: ("A size of at most `parts_max` times `display`", ""),
    E.TOO_MANY_STOPS: ("At most `stops_max` stops that wait in the book", ""),
    E.TOO_MANY_FILLS: ("At most `fills_max` orders to meet", ""),
    E.ACCOUNT_FROZEN: ("An account that is not frozen", "Ask the operator."),
    E.NOT_LISTED: ("An instrument that is not delisted; to list it again, one without open orders", ""),
    E.INTERNAL: ("No mistake in the server", ""),
    E.OUTCOME_UNKNOWN: ("That the command is on disk and its outcome known", ""),
    E.FROZEN: ("A disk that can be written to", ""),
    E.DISK_NEARLY_FULL: ("At least `journal_reserve_bytes` left on the disk", ""),
    E.PAST_ONLY: ("A request that only reads", "Ask a live server."),
    E.NO_ENGINE: ("A connection to the engine", ""),
    E.TOO_LATE: ("At most `command_patience_ms` from the gateway to the engine", ""),
    E.BAD_GROUP: ("The same version of the gateways and the engine", ""),
    E.TOO_MANY_WAITING: ("At most the `under_way_max` of `welcome` sent and not answered, and `unanswered_max` of all connections", ""),
    E.NO_HISTORY: ("The setting `history`, and a disk that its file can be written to", ""),
    E.NO_UPSTREAM: ("A connection to the server that is relayed", ""),
    C.SLOW_CONSUMER: ("A client that reads as fast as replies come", ""),
    C.TOKEN_EXPIRED: ("A `login` with a newer token before the old one expires", ""),
    C.SHUTTING_DOWN: ("Nothing", ""),
    C.TOO_MANY_CONNECTIONS: ("At most the settings `connections_per_address_max`, `connections_per_account_max` and `handshakes_per_s`", ""),
    C.DISCONNECTED: ("Nothing", ""),
    C.IDLE: ("Answers to the server's pings, and a token or a subscription within `sign_in_timeout_s`", ""),
    C.NO_ACCOUNT: ("Room for another account", ""),
    C.ABUSE: ("At most `errors_max` messages that cannot be read or come too fast", ""),
    C.REVOKED: ("A token that has not been revoked", ""),
}
"""For each code: what was expected, and what to do. The second text is "" if the code's own text already says what to do."""

HANDSHAKE = (
    ("400", "The request is not a WebSocket handshake", "RFC 6455: GET, HTTP/1.1, `Upgrade: websocket`, a key and version 13", "Use a WebSocket client."),
    ("401", "The server refuses the token for good", "See 201, above", "Come back with another token, or without one for the public channels."),
    ("401 with `Retry-After`", "The server cannot get the keys that it checks tokens with at the moment", "A key set that can be fetched", "Come back after that time, with the same token."),
    ("403", "Web pages of this origin may not connect", "The server's own page, or an origin that the setting `origins` lists", "Add the origin to the setting `origins`."),
    ("404", "There is nothing at this path", "`/v1`", "Correct the address."),
    ("429", "Too many connections came from one address in too short a time", "At most the settings `arrivals_per_s` and `handshakes_per_s`", "Come back later."),
    ("503", "The server is starting, is shutting down, or has no room for more connections", "A server that is ready", "Come back later. The clients of this project do so by themselves."),
)

EXCEPTIONS: dict[type[Exception], tuple[str, str]] = {
    raised.ClientError: ("A server that can be reached, that answers with a handshake and a `welcome` in time, and that speaks `deltabook.v1`", "The text says which of these failed. An open client tries again by itself."),
    raised.ConnectionLost: ("A connection that stays open until the answer has come", "The client reconnects by itself and resumes its channels. Send an order again with the same `key`."),
    raised.SignInRefused: ("A token that the server accepts", "Public channels go on. Send a new token with `login`. Or give the client a callable: it then calls that for a token."),
    raised.RequestRefused: ("See the text of its `code`, above", "See its `code`, above."),
    raised.TooSlow: ("A reader or a callback that keeps up with the channel", "Do less work for each item, or read the state of the channel's mirror instead."),
    raised.Closed: ("An open client, and a channel that is subscribed", "The text says who closed it, and why. Open another client."),
    ValueError: ("Decimal text that is a whole number of ticks, lots or units, or the number of them as an integer; or a list of channels", "Correct the argument. Nothing was sent."),
    TypeError: ("A function of one argument, or a coroutine function", "Correct the argument. Nothing was sent."),
}


def halves(code: Code) -> tuple[str, str]:
    """The two halves of the text of a code: what happened, and what to do ("" if it does not say)."""
    when, _, rest = code.text.partition(". ")
    return when.rstrip("."), rest


def rows(kind: type[Code]) -> Iterator[str]:
    """The rows of the table, one for each code."""
    for code in kind:
        when, rest = halves(code)
        expected, to_do = EXPECTED[code]
        yield f"| {int(code)} | `{code.name}` | {when} | {expected} | {to_do or rest} |"


def errors() -> str:
    """The whole page, in Markdown."""
    lines = [
        "# Errors\n\nThis page lists every error that a user of the server or of the Python client can get. The text of an error says what it was in your case. `make docs` generates the page.",
        "\n## Numbers of `error` messages\n\n| code | name | what happened | what was expected | what to do |\n|---|---|---|---|---|", *rows(ErrorCode),
        "\n## Close codes\n\nA client comes back after 4000 to 4499, with growing and jittered delays. After 4500 to 4999 it does not, except after 4501.",
        "\n| code | name | what happened | what was expected | what to do |\n|---|---|---|---|---|", *rows(CloseCode),
        "\n## Answers to a handshake\n\n| status | what happened | what was expected | what to do |\n|---|---|---|---|",
        *(f"| {status} | {when} | {expected} | {to_do} |" for status, when, expected, to_do in HANDSHAKE),
        "\n## What the Python client raises\n\n| exception | what happened | what was expected | what to do |\n|---|---|---|---|",
    ]
    for kind, (expected, to_do) in EXCEPTIONS.items():
        when = (kind.__doc__ or "").partition("\n")[0] if kind.__module__ == raised.__name__ else "An argument is not what was expected."
        lines.append(f"| `{kind.__name__}` | {when} | {expected} | {to_do} |")
    lines.append(
        "\n## Configuration\n\nIf a setting has a bad value, the server prints one line on standard error and ends with exit status 2. The line has the setting's name, its value and what was "
        "expected. [Settings](configuration.md) lists the range of each setting."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(errors(), end="")
