"""A market over HTTP without a socket: requests go in, answers come out."""

import json
from typing import Any
from urllib.parse import urlencode

from stream.rest.rest import Rest
from stream.server.http_message import Answer, Request
from tests.setting import token
from tests.worlds import QuietMarket


class Counter:
    """The REST API of a quiet market, and who asks there."""

    def __init__(self, market: QuietMarket | None = None, callers_max: int = 100, **changes: Any) -> None:
        self.market = market or QuietMarket(**changes)
        self.rest = Rest(self.market, callers_max)
        self.answers: list[Answer] = []

    def token(self, subject: str, scope: str = "market account trade") -> str:
        return token(subject, self.market.now, scope)

    def send(self, method: str, path: str, token: str = "", body: Any = None, address: str = "10.0.0.1", **query: Any) -> None:
        """Send a request, and leave its answer to a tick."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        if "if_none_match" in query:
            headers["if-none-match"] = query.pop("if_none_match")
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        self.rest.request(Request(method, path, urlencode(query), text, headers, address), self.market.now, self.answers.append)

    def tick(self) -> None:
        self.market.tick(self.market.now)
        self.rest.tick(self.market.now)

    def ask(self, *request: Any, **named: Any) -> tuple[int, Any]:
        """The status and the body of the one answer to a request."""
        answer = self.whole(*request, **named)
        return answer.status, json.loads(answer.body) if answer.body else None

    def whole(self, *request: Any, **named: Any) -> Answer:
        """The same with its headers."""
        self.send(*request, **named)
        for _ in range(3):    # an account is opened, then an order placed
            self.tick()
        [answer] = self.answers
        self.answers.clear()
        return answer
