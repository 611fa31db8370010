"""The market that the tests have in common: its instruments, its key, its time, and how its bytes are read."""

from decimal import Decimal
from typing import Any

import jwt

from stream.settings.config import Config, InstrumentConfig
from stream.wire.codec import MSGPACK, Codec
from stream.wire.framing import frames_in, payload_of

SECRET = "a secret that is long enough to be one"
START = 1_700_000_000 * 10**9
MILLISECOND = 10**6
NAMES = ("BTC-USD", "ETH-USD")

CONFIG = Config(
    assets={"BTC": 8, "ETH": 8, "USD": 6},
    instruments=tuple(
        InstrumentConfig(name, name[:3], "USD", Decimal("0.01"), Decimal("0.0001"), maker_fee=100, taker_fee=300)
        for name in NAMES
    ),
    deposit={"BTC": "10", "ETH": "100", "USD": "100000"},
    tombstones_max=40,
    trades_kept=60,
    account_events_kept=200,
    market_by_order_kept=100,
    heartbeat_ms=500,
    pending_bytes_max=1 << 18,
    messages_burst=1 << 20,
    errors_max=1 << 20,
    audit_interval_ms=0,
    journal="none",
    journal_segment_bytes=1 << 16,
    journal_reserve_bytes=0,
)


def token(subject: str, now: int, scope: str = "account trade", **changes: Any) -> str:
    """A token for a subject."""
    claims = {"sub": subject, "iss": "deltabook", "aud": "deltabook", "iat": now // 10**9, "exp": now // 10**9 + 10_000, "scope": scope}
    return jwt.encode(claims | changes, SECRET, algorithm="HS256")


def messages_in(data: bytes, codec: Codec = MSGPACK) -> list[Any]:
    """The messages in a run of WebSocket frames that a server wrote."""
    return [codec.decode_answer(payload_of(frame)) for frame in frames_in(data)]


def digest_of(bids: dict[int, int], asks: dict[int, int]) -> int:
    """The digest as the reference defines it, in plain integers."""
    mask, total = (1 << 64) - 1, 0
    for side, levels in enumerate((bids, asks)):
        for price, size in levels.items():
            z = ((price * 2 + side) * 0x9E3779B97F4A7C15 + size * 0xC2B2AE3D27D4EB4F) & mask
            z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
            total += z ^ z >> 31
    return total & mask
