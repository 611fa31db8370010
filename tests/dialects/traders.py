"""Who trades through the spot dialect without a socket: an API key, requests that it signs, and user data streams."""

from base64 import b64encode
from collections.abc import Callable
from hmac import digest
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.access.api_keys import ApiKey, secret_of
from stream.server.http_message import Answer, Request
from tests.account_history.recorded import RecordedMarket
from tests.dialects.spot import MILLISECOND, SECOND, Client, Spot
from tests.worlds import QuietMarket

MASTER = b"a master key that is long enough to be one"
LIFETIME_S = 30 * 24 * 3600


def make_key(subject: str, now: int, scopes: str = "account market trade", ed25519: str = "", id: str = "") -> ApiKey:
    """A key."""
    return ApiKey(id or f"key-of-{subject}", subject, tuple(scopes.split()), now // SECOND, now // SECOND + LIFETIME_S, ed25519)


class Trading(Spot):
    """A market behind the dialect, with API keys."""

    def __init__(self, market: QuietMarket | None = None, **changes: Any) -> None:
        super().__init__(market or RecordedMarket(**changes))
        self.keys: dict[str, ApiKey] = {}

    def settle(self, answered: Callable[[], bool]) -> None:
        """Let the market tick until there is an answer, which may have to come from the history."""
        for _ in range(4):
            self.tick()
        while not answered():
            assert isinstance(self.market, RecordedMarket)
            self.market.await_answers()
            self.tick()

    def add(self, key: ApiKey) -> ApiKey:
        """Another key."""
        self.keys[key.id] = key
        self.market.authenticator.api_keys.take(self.keys, MASTER)
        return key

    def trader(self, subject: str, **named: Any) -> "Hand":
        """Someone with a key."""
        return Hand(self, self.add(make_key(subject, self.market.now, **named)))


class Hand:
    """Signs requests with a key. `skew_ms` is how far its clock is ahead."""

    def __init__(self, spot: Trading, key: ApiKey, private: Ed25519PrivateKey | None = None) -> None:
        self.spot = spot
        self.key = key
        self.private = private
        self.skew_ms = 0

    def sign(self, text: str) -> str:
        """The signature of a text."""
        if self.private:
            return b64encode(self.private.sign(text.encode())).decode()
        return digest(secret_of(self.key, MASTER).encode(), text.encode(), "sha256").hex()

    @property
    def timestamp(self) -> int:
        """Its clock, in milliseconds."""
        return self.spot.market.now // MILLISECOND + self.skew_ms

    def request(self, method: str, path: str, query: str = "", body: str = "", key: str | None = None, **headers: str) -> Answer:
        """Send a request as it is, and have the answer once the market has ticked."""
        named = {"x-mbx-apikey": self.key.id if key is None else key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        answers: list[Answer] = []
        path = path if path.startswith("/") else f"/api/v3/{path}"
        self.spot.dialect.request(Request(method, path, query, body, named, "10.0.0.1"), self.spot.market.now, answers.append)
        self.spot.settle(lambda: bool(answers))
        [answer] = answers
        return answer

    def ask(self, method: str, path: str, in_body: bool = False, **parameters: Any) -> Answer:
        """Send a signed request."""
        text = urlencode(parameters | {"timestamp": self.timestamp})
        text += f"&signature={quote(self.sign(text))}"
        return self.request(method, path, "" if in_body else text, text if in_body else "")

    def get(self, method: str, path: str, **parameters: Any) -> Any:
        """Send one that succeeds."""
        answer = self.ask(method, path, **parameters)
        assert answer.status == 200, answer.body
        return msgspec.json.decode(answer.body)

    def refused(self, method: str, path: str, **parameters: Any) -> tuple[int, int, str]:
        """Send one that is refused: the status, the number and the words."""
        answer = self.ask(method, path, **parameters)
        said = msgspec.json.decode(answer.body)
        return answer.status, said["code"], said["msg"]

    def order(self, side: str, type: str = "LIMIT", **parameters: Any) -> Any:
        """Place an order."""
        named = {"timeInForce": "GTC"} if type == "LIMIT" else {}
        return self.get("POST", "order", symbol="BTCUSD", side=side, type=type, **named | parameters)

    def free(self, asset: str) -> tuple[str, str]:
        """What is available and what is held."""
        [found] = [each for each in self.get("GET", "account")["balances"] if each["asset"] == asset]
        return found["free"], found["locked"]

    def stream(self, query: str = "") -> "UserClient":
        """A user data stream of its own."""
        client = UserClient(self.spot, "/ws-api/v3", query)
        client.hand = self
        return client


class UserClient(Client):
    """A connection of the WebSocket API."""

    spot: Trading
    hand: Hand

    def call(self, method: str, signed: bool = True, **parameters: Any) -> Any:
        """Send a request, and have its answer; events that came before it are kept."""
        if signed:
            parameters |= {"apiKey": self.hand.key.id, "timestamp": self.hand.timestamp}
            parameters["signature"] = self.hand.sign("&".join(f"{name}={parameters[name]}" for name in sorted(parameters)))
        self.send({"id": "a-1", "method": method, "params": parameters})
        heard: list[Any] = []

        def answered() -> bool:
            heard.extend(self.hear())
            return any("event" not in each for each in heard)

        self.spot.settle(answered)
        self.events = [each["event"] for each in heard if "event" in each]
        [answer] = [each for each in heard if "event" not in each]
        assert answer["id"] == "a-1"
        return answer

    def result(self, method: str, signed: bool = True, **parameters: Any) -> Any:
        """Send one that succeeds."""
        answer = self.call(method, signed, **parameters)
        assert answer["status"] == 200, answer
        return answer["result"]

    def told(self) -> list[Any]:
        """The events that came."""
        for _ in range(4):
            self.spot.tick()
        return [each["event"] for each in self.hear()]
