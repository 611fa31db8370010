"""Valid messages made wrong: in their bytes, in their fields, in their tokens. All of it follows from the `Random` that is passed."""

import base64
import hashlib
import hmac
import json
from random import Random
from typing import Any

import msgspec

from stream.wire.codec import MSGPACK, Codec
from stream.wire.fields import Message
from tests.setting import SECRET

HEADERS = (
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01", b"\xdc\xff\xff",
    b"\xcf" + b"\xff" * 8, b"\xd3\x80" + b"\0" * 7, b"\xcb\x7f\xf0" + b"\0" * 6, b"\xc1", b"\xc0", b"\x90", b"\x80", b"\xd6\xff\0\0\0\0", b"\xa1\xff",
    b"[", b"]", b"{", b'"', b"\\ud800", b"\\u0000", b"1e999", b"-0", b"9" * 400, b"NaN", b"null", b",", b"\xff",
)
"""Pieces that mean much to a decoder: MessagePack headers that claim more than there is, ends of ranges, wrong types; and the like of JSON."""

EXTREMES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0xFFFF, 1 << 31, (1 << 32) - 1, (1 << 53) - 1, 1 << 53, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
    -(1 << 31), -(1 << 63),
    0.0, 0.5, 1e308, "", "buy", "sell", "gtd", "market", "trailing_stop", "BTC-USD", "\0", "é" * 70, "x" * 100_000, "orders", "orderbook:", "orderbook:BTC-USD",
    "orderbook:NONE", "trades:ETH-USD", "ticker:../..", "balances:BTC-USD", b"", b"\xff", [], {}, [[]], [0], ["orders"], ["orders"] * 2000, {"orders": [0, 0]},
    {"orderbook:BTC-USD": [1_700_000_000_000, 5]}, {"orderbook:BTC-USD": [0, -1]},
)
"""Values for a field, most of them wrong for most fields."""


def damaged(random: Random, data: bytes, other: bytes) -> bytes:
    """The bytes with one to four mistakes, which may be whole parts of another message."""
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.choice((1, 1, 1, 2, 4, 8, 40)))
        kind = random.randrange(7)
        if kind == 0 and at < to:
            data = data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + random.randbytes(to - at) + data[to:]
        elif kind == 2:
            data = data[:at] + data[to:]
        elif kind == 3:
            data = data[:at]
        elif kind == 4:
            data = data[:at] + random.choice(HEADERS) + data[random.choice((at, to)) :]
        elif kind == 5:
            data = data[:at] + other[random.randrange(len(other) + 1) :]
        else:
            data = data[:at] + data[at:to] * random.choice((2, 3, 1000)) + data[to:]
    return data


def nested(random: Random, codec: Codec) -> bytes:
    """Arrays or maps in each other, deeper than any stack."""
    depth = random.choice((100, 2000, 100_000))
    return random.choice((b"\x91", b"\x81\xa0", b"\x92\x01")) * depth if codec is MSGPACK else random.choice((b"[", b'{"":', b'["ping",')) * depth


def misused(random: Random, message: Message, codec: Codec) -> bytes:
    """The message with some fields that are extreme, of the wrong type, missing, too many or in another's place."""
    fields: list[Any] = msgspec.to_builtins(message)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(1 if random.random() < 0.9 else 0, len(fields)) if len(fields) > 1 else 0
        kind = random.random()
        if kind < 0.75:
            fields[at] = random.choice(EXTREMES)
        elif kind < 0.85:
            del fields[max(at, 1) :]
        elif kind < 0.95:
            fields.insert(at, random.choice(EXTREMES))
        else:
            random.shuffle(fields)
    return (msgspec.msgpack if codec is MSGPACK else msgspec.json).encode(fields)


def mutated(random: Random, message: Message, other: Message, codec: Codec) -> bytes:
    """A message's bytes after some mutation, or after none."""
    kind = random.random()
    if kind < 0.3:
        return codec.encode(message)
    if kind < 0.7:
        return misused(random, message, codec)
    if kind < 0.97:
        return damaged(random, codec.encode(message), codec.encode(other))
    return nested(random, codec) if kind < 0.98 else random.randbytes(random.randrange(200))


def mistaken_token(random: Random, subject: str, now: int) -> str:
    """A token, well signed as a rule, whose header and claims may be anything."""
    header: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
    claims: dict[str, Any] = {
        "sub": subject, "iss": "deltabook", "aud": "deltabook", "iat": now // 10**9, "exp": now // 10**9 + 10_000, "scope": "market account trade",
    }
    for _ in range(random.choice((0, 0, 1, 2))):
        into = random.choice((header, claims, claims, claims))
        key = random.choice((*into, "kid", "nbf", "crit", "jku", "b64"))
        value = random.choice((*EXTREMES, "none", "HS512", "EdDSA", {"deep": {}}, [1e400], "admin"))
        into[key] = value.hex() if isinstance(value, bytes) else value
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    signature = hmac.digest(SECRET.encode(), signed, hashlib.sha256)
    if random.random() < 0.2:
        signed = damaged(random, signed, signed)
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode(errors="replace")
