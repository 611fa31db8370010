"""A market behind Kraken's dialect without a socket, and a client's own books of it, written from the venue's documentation."""

from base64 import b64decode, b64encode
from decimal import Decimal
from hashlib import sha256, sha512
from hmac import digest
from json import loads
from typing import Any
from zlib import crc32

import msgspec

from stream.access.api_keys import ApiKey, secret_of
from stream.dialects.kraken.connection import Connection
from stream.dialects.kraken.dialect import Kraken
from stream.server.http_message import Answer, Request
from stream.wire.framing import PING, TEXT, frames_in, payload_of
from stream.wire.messages import Place
from tests.dialects.spot import Line
from tests.dialects.traders import MASTER, make_key
from tests.worlds import Desk, QuietMarket

SHOWN = 10
"""How many levels the clients that exist are asked to follow."""

TOKENS = "/0/private/GetWebSocketsToken"


def read(payload: bytes) -> Any:
    """A message, its numbers digit by digit."""
    return loads(payload, parse_float=Decimal)


class Client:
    """One WebSocket connection."""

    def __init__(self, kraken: "KrakenMarket") -> None:
        self.kraken = kraken
        self.line = Line()
        connection = kraken.dialect.open("/v2", "", self.line, kraken.market.now, "10.0.0.1")
        assert isinstance(connection, Connection), connection
        self.connection = connection
        kraken.dialect.write()
        [status] = self.hear()
        assert status["channel"] == "status"

    def send(self, message: object) -> None:
        """Send a message, as it is or as JSON."""
        self.connection.receive(message if isinstance(message, str | bytes) else msgspec.json.encode(message), self.kraken.market.now)
        self.kraken.dialect.write()

    def ask(self, method: str, **parameters: object) -> list[Any]:
        """Ask, and have all that comes at once."""
        self.send({"method": method, "params": parameters, "req_id": 7})
        return self.hear()

    def subscribe(self, channel: str, **parameters: object) -> list[Any]:
        """Subscribe to a channel of BTC/USD, and have what comes behind the acknowledgement."""
        symbols = {} if channel == "instrument" else {"symbol": ["BTC/USD"]}
        acknowledged, *told = self.ask("subscribe", channel=channel, **symbols, **parameters)
        assert acknowledged["success"], acknowledged
        return told

    def hear(self) -> list[Any]:
        """What came since the last call, without pings."""
        data, self.line.data = self.line.data, b""
        frames = list(frames_in(data))
        assert sum(map(len, frames)) == len(data)
        assert {frame[0] & 0x0F for frame in frames} <= {TEXT, PING}
        return [read(payload_of(frame)) for frame in frames if frame[0] & 0x0F == TEXT]


class KrakenMarket:
    """A market, its dialect, and two who trade."""

    def __init__(self, market: QuietMarket | None = None, **changes: Any) -> None:
        self.market = market or QuietMarket(**changes)
        self.dialect = Kraken(self.market, self.market.now)
        self.keys: dict[str, ApiKey] = {}
        self.nonce = 0
        self.alice, self.bob = (Desk(self.market).sign_in(subject) for subject in ("alice", "bob"))

    def client(self) -> Client:
        """A new connection."""
        return Client(self)

    def tick(self) -> int:
        """A turn of the server. Returns when the dialect wants the next one."""
        self.market.tick(self.market.now)
        return self.dialect.tick(self.market.now)

    def place(self, side: str, price: int, size: int, **named: Any) -> None:
        """Alice places an order, which is told at once."""
        self.alice.ask(Place, "BTC-USD", side, price, size, **named)
        self.tick()

    def trade(self, price: int, size: int, side: str = "buy") -> None:
        """Alice and Bob trade; Bob takes on a side."""
        self.alice.ask(Place, "BTC-USD", "sell" if side == "buy" else "buy", price, size)
        self.bob.ask(Place, "BTC-USD", side, price, size, "limit", "ioc")
        self.tick()

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass."""
        self.market.pass_time(milliseconds)
        self.tick()

    def add(self, key: ApiKey) -> ApiKey:
        """Another API key."""
        self.keys[key.id] = key
        self.market.authenticator.api_keys.take(self.keys, MASTER)
        return key

    def answer(self, method: str, path: str, query: str = "", body: str = "", **headers: str) -> Answer:
        """Ask over HTTP."""
        answers: list[Answer] = []
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.dialect.request(Request(method, path, query, body, named, "10.0.0.1"), self.market.now, answers.append)
        [answer] = answers
        return answer

    def get(self, name: str, query: str = "") -> Any:
        """Ask for what has to be there."""
        found = read(self.answer("GET", f"/0/public/{name}", query).body)
        assert found["error"] == []
        return found["result"]

    def signed(self, key: ApiKey, body: str, secret: str = "", nonce: str = "") -> Any:
        """Ask for a token with a body that is signed as the venue documents it."""
        nonce = nonce or body.removeprefix("nonce=")
        inner = sha256((nonce + body).encode()).digest()
        made = digest(b64decode(secret or secret_of(key, MASTER)), TOKENS.encode() + inner, sha512)
        return read(self.answer("POST", TOKENS, "", body, api_key=key.id, api_sign=b64encode(made).decode()).body)

    def token(self) -> str:
        """A token."""
        key = self.keys.get("carol") or self.add(make_key("carol", self.market.now, id="carol"))
        self.nonce += 1
        told = self.signed(key, f"nonce={self.nonce}")
        assert told["error"] == []
        assert told["result"]["expires"] == 900
        return str(told["result"]["token"])


def digits(number: Decimal) -> str:
    """A number as a checksum has it: without the point and without zeros before it."""
    return format(Decimal(number), "f").replace(".", "").lstrip("0")


class Levels:
    """A book of `book`, as the venue's guide keeps it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}

    def hear(self, message: Any) -> None:
        """Take in a message, and compare the checksum."""
        [told] = message["data"]
        if message["type"] == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        for name, levels in self.sides.items():
            for each in told[name]:
                levels[each["price"]] = each["qty"]
                if not each["qty"]:
                    del levels[each["price"]]
        self.sides = {name: dict(self.best(name, self.depth)) for name in self.sides}
        assert self.checksum() == told["checksum"]

    def best(self, name: str, count: int) -> list[tuple[Decimal, Decimal]]:
        """The best levels."""
        return sorted(self.sides[name].items(), reverse=name == "bids")[:count]

    def checksum(self) -> int:
        """Of the ten best levels, asks before bids."""
        return crc32("".join(digits(price) + digits(size) for name in ("asks", "bids") for price, size in self.best(name, 10)).encode())


class EagerLevels(Levels):
    """One that cuts off what is out of its depth at each level, as python-kraken-sdk does."""

    def hear(self, message: Any) -> None:
        [told] = message["data"]
        for name, levels in self.sides.items():
            for each in told[name]:
                levels[each["price"]] = each["qty"]
                if not each["qty"]:
                    del levels[each["price"]]
                levels = self.sides[name] = dict(self.best(name, self.depth))
        assert self.checksum() == told["checksum"]


class OrdersByLevel:
    """A book of `level3`, as the venue's guide keeps it: at each price a queue of orders."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[Decimal, dict[str, Any]]] = {"bids": {}, "asks": {}}

    def hear(self, message: Any) -> None:
        """Take in a message, and compare the checksum."""
        [told] = message["data"]
        if message["type"] == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        for name in self.sides:
            for order in told[name]:
                self._apply(self.sides[name], order, order.get("event", "add"))
            kept = sorted(self.sides[name], reverse=name == "bids")[: self.depth]
            self.sides[name] = {price: self.sides[name][price] for price in kept}
        assert self.checksum() == told["checksum"]

    def _apply(self, levels: dict[Decimal, dict[str, Any]], order: Any, event: str) -> None:
        queue = levels.setdefault(order["limit_price"], {})
        if event == "add":
            assert order["order_id"] not in queue
            queue[order["order_id"]] = order
        elif event == "modify":
            queue[order["order_id"]]["order_qty"] = order["order_qty"]
        else:
            del queue[order["order_id"]]
        if not queue:
            del levels[order["limit_price"]]

    def checksum(self) -> int:
        """Of all orders at the ten best prices, asks before bids, as they queue."""
        told = ""
        for name in ("asks", "bids"):
            for price in list(self.sides[name])[:10]:
                for order in self.sides[name][price].values():
                    told += digits(order["limit_price"]) + digits(order["order_qty"])
        return crc32(told.encode())
