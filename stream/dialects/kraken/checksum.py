"""The venue's checksums of a book: CRC32 over the digits of its ten best levels, asks before bids, the best first.

Digits are those of the number as it is written, without the point and without leading zeros: so they are those of the number in units of its last decimal.
"""

from zlib import crc32

from engine import OrderQueues
from stream.dialects.kraken.symbols import Symbol

LEVELS = 10


def checksum_of_levels(symbol: Symbol, bids: list[int], asks: list[int]) -> int:
    """The checksum of `book`, out of levels in flat lists, the best first."""
    return _sum(symbol, [*asks[: 2 * LEVELS], *bids[: 2 * LEVELS]])


def checksum_of_orders(symbol: Symbol, queues: OrderQueues) -> int:
    """The checksum of `level3`: order by order, as they queue at each price. O(orders at the ten best prices)."""
    told: list[int] = []
    for side, levels in reversed(list(enumerate(queues.depth(LEVELS)))):
        for price in levels[::2]:
            for _, size in queues.queue(side, price):
                told += price, size
    return _sum(symbol, told)


def _sum(symbol: Symbol, told: list[int]) -> int:
    price, size = symbol.price.fraction, symbol.size.fraction
    return crc32("".join([f"{price(told[i])[0]}{size(told[i + 1])[0]}" for i in range(0, len(told), 2)]).encode())
