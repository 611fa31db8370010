"""A market behind the spot dialect without a socket: requests and messages in, what was said out, line by line."""

from typing import Any

import msgspec

from stream.dialects.binance.connection import Connection
from stream.dialects.binance.dialect import Binance, Opening
from stream.server.http_message import Answer, Request
from stream.wire.framing import PING, TEXT, frames_in, payload_of
from stream.wire.messages import Place
from tests.worlds import Desk, QuietMarket

MILLISECOND = 10**6
SECOND = 10**9


class Line:
    """A socket that a test can fill: what was written to it is there, and whether it takes more is the test's to say."""

    def __init__(self) -> None:
        self.data = b""
        self.full = False
        self.closed: tuple[int, str] | None = None

    def ready(self) -> bool:
        return not self.full

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


class Client:
    """One WebSocket connection."""

    def __init__(self, spot: "Spot", path: str, query: str = "") -> None:
        self.spot = spot
        self.line = Line()
        opening = spot.dialect.opening(path, query)
        assert isinstance(opening, Opening), opening
        connection = spot.dialect.connect(opening, self.line, spot.market.now)
        assert isinstance(connection, Connection), connection
        self.connection = connection

    def send(self, message: object) -> None:
        """Send a message, as it is or as JSON."""
        payload = message if isinstance(message, str | bytes) else msgspec.json.encode(message)
        self.connection.receive(payload, self.spot.market.now)
        self.spot.dialect.write()

    def ask(self, method: str, *parameters: object, id: object = 1) -> Any:
        """Ask, and have the answer."""
        self.hear()
        self.send({"method": method, "params": list(parameters), "id": id})
        answer = self.hear()[-1]
        assert answer.pop("id") == id
        return answer.get("result", answer.get("error"))

    def hear(self) -> list[Any]:
        """What came since the last call, without pings."""
        data, self.line.data = self.line.data, b""
        frames = list(frames_in(data))
        assert sum(map(len, frames)) == len(data)
        assert {frame[0] & 0x0F for frame in frames} <= {TEXT, PING}
        return [msgspec.json.decode(payload_of(frame)) for frame in frames if frame[0] & 0x0F == TEXT]


class Spot:
    """A market, its dialect, and two who trade. The dialect ticks behind the market, as the server does it."""

    def __init__(self, market: QuietMarket | None = None, **changes: Any) -> None:
        self.market = market or QuietMarket(**changes)
        self.dialect = Binance(self.market, self.market.now)
        self.alice, self.bob = (Desk(self.market).sign_in(subject) for subject in ("alice", "bob"))

    def client(self, path: str = "/ws", query: str = "") -> Client:
        """A new connection."""
        return Client(self, path, query)

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

    def pass_time(self, milliseconds: float) -> None:
        """Let time pass, tick by tick."""
        end = self.market.now + int(milliseconds * MILLISECOND)
        while (due := min(self.market.tick(self.market.now), self.dialect.tick(self.market.now))) <= end:
            self.market.now = max(self.market.now + 1, due)
        self.market.now = end
        self.tick()

    def answer(self, path: str, query: str = "", method: str = "GET", address: str = "10.0.0.1", **headers: str) -> Answer:
        """Ask, and have the answer with its headers."""
        answers: list[Answer] = []
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.dialect.request(Request(method, path, query, "", named, address), self.market.now, answers.append)
        [answer] = answers
        return answer

    def get(self, path: str, query: str = "", **headers: str) -> Any:
        """Ask for what has to be there."""
        answer = self.answer(f"/api/v3/{path}", query, **headers)
        assert answer.status == 200, answer.body
        return msgspec.json.decode(answer.body)

    def error(self, path: str, query: str = "", **named: str) -> tuple[int, int, str]:
        """Ask for what is refused: the status, the number and the words."""
        answer = self.answer(path if path.startswith("/") else f"/api/v3/{path}", query, **named)
        said = msgspec.json.decode(answer.body)
        return answer.status, said["code"], said["msg"]
