"""What a client of this dialect said about an order and no engine keeps: its own id as text, the type, and what was asked for at first.

A ticket is remembered in the directory, with the command and in its group, so it is there after a crash if the order is. It goes when the order ends.
"""

import re
from hashlib import sha256

import msgspec

from stream.commands.directory import Directory, OrderTicket

NUMBER = re.compile("[1-9][0-9]{0,15}")
HASHED = 1 << 52
"""The numbers from here on stand for texts, those below for themselves. Both are client ids of the engine, which are below 2^53."""


class Ticket(msgspec.Struct, array_like=True, frozen=True):
    """An order as it was asked for. Prices are in ticks, sizes in lots, `quote` in units of the quote asset, 0 for what was not given; `time` is in ns.

    `text` is the client's id of the order, `list_text` that of its list, "" if it is of none. `list` is the number of the list's first order, 0 in
    that one.
    """

    text: str
    type: str
    time_in_force: str
    price: int
    size: int
    quote: int
    stop: int
    display: int
    self_trade: str
    time: int
    list_text: str = ""
    list: int = 0


decode_ticket = msgspec.msgpack.Decoder(Ticket).decode
encode_ticket = msgspec.msgpack.Encoder().encode


def number_of(text: str) -> int:
    """The engine's client id for a text. The engine takes each number once, so two texts that had the same would never both name an order."""
    if NUMBER.fullmatch(text) and int(text) < HASHED:
        return int(text)
    return HASHED | int.from_bytes(sha256(text.encode()).digest()[:8]) >> 12


def text_of(client_id: int) -> str:
    """The text for an order that has no ticket, because it was placed in another way."""
    return str(client_id) if client_id else ""


def find_ticket(directory: Directory, account: int, client_id: int) -> Ticket | None:
    """The ticket of an open order; None if there is none."""
    value = directory.get(OrderTicket(account, client_id))
    return decode_ticket(value) if isinstance(value, bytes) else None
