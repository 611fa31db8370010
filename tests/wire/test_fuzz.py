"""Input that nobody would send in good faith, through every layer that reads some. Nothing may crash, and each layer keeps its promise.

DELTABOOK_INPUTS counts the inputs of each layer, DELTABOOK_SEED names the first seed. The seed in a failing test's name replays it exactly.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar
from unittest.mock import Mock

import msgspec
import pytest

from stream.access.auth import Authenticator, TokenRefused
from stream.access.keys import key_of
from stream.client.client import Client
from stream.wire.codec import CODECS, MSGPACK, Malformed
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.fragments import Assembler, Violation, close_code
from stream.wire.frames import Book
from stream.wire.framing import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from stream.wire.messages import Answer, CancelAll, Error, ListInstruments, ListSubscriptions, Login, Ping, Reply, Request, Subscribe, Unsubscribe, Welcome
from tests.market.simulated_orders import random_request
from tests.setting import CONFIG, NAMES, SECRET, START
from tests.wire.mutation import mistaken_token, mutated
from tests.worlds import Desk, QuietMarket

FIRST = int(os.environ.get("DELTABOOK_SEED", "1"))
BATCH = 1000
"""Inputs of one seed."""

SEEDS = range(FIRST, FIRST + max(1, int(os.environ.get("DELTABOOK_INPUTS", "6000")) // BATCH))
CHANNELS = [f"{kind}:{name}" for kind in ("orderbook", "market_by_order", "trades", "ticker") for name in NAMES] + ["orders", "balances"]
EPOCHS = (0, START // 10**6)
SIZE_MAX = 1000
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
BROKEN_OFF = (*UNREADABLE, ValueError, OverflowError)
"""What a client closes the connection for."""

Outcome = TypeVar("Outcome")
Refusal = TypeVar("Refusal", bound=Exception)

pytestmark = pytest.mark.parametrize("seed", SEEDS)


def tried(refusals: type[Refusal] | tuple[type[Refusal], ...], call: Callable[..., Outcome], *arguments: Any) -> Outcome | Refusal:
    """What a call returns, or which of the refusals it raises."""
    try:
        return call(*arguments)
    except refusals as refusal:
        return refusal


def requests(random: Random, market: QuietMarket) -> Iterator[Any]:
    """Good requests without end."""
    id = 0
    while True:
        id += 1
        channels = random.sample(CHANNELS, random.randrange(1, 4))
        account = random.randrange(max(1, market.exchange.accounts))
        orders = market.exchange.orders(account) if market.exchange.accounts else []
        yield random.choice((
            *[random_request(random, id, random.choice(NAMES), 100, orders, market.now) for _ in range(5)],
            Subscribe(id, channels, random.choice((None, 0, 5, 10**6)), random.choice((None, 0, 100, 10**6)), {channels[0]: (random.choice(EPOCHS), id)}),
            Unsubscribe(id, channels), ListSubscriptions(id), ListInstruments(id), Ping(id), CancelAll(id),
            Login(id, mistaken_token(random, random.choice(("alice", "bob", "carol")), market.now)),
        ))


def answers_of_a_market(random: Random) -> list[Message]:
    """What a server says in the course of some trading."""
    market = QuietMarket()
    desk = Desk(market).sign_in("alice")
    desk.ask(Subscribe, CHANNELS, 0, 0)
    for request in requests(random, market):
        if len(desk.heard) > 100:
            return desk.heard
        desk.send(MSGPACK.encode(request))
        market.pass_time(random.choice((0, 1, 600)))
        desk.hear()
    raise AssertionError


def test_the_message_layer_gives_whole_messages_or_says_what_is_wrong(seed: int) -> None:
    random = Random(seed)
    assembler, opcode, sent = Assembler(SIZE_MAX), 0, b""
    for _ in range(BATCH):
        text, noise = "é\U0001f701".encode()[: random.randrange(7)], random.randbytes(random.choice((2, 125, 126, 600)))
        payload = random.choice((b"", text, noise, b"ok" * random.randrange(400)))
        frame = random.choice((CONTINUATION, CONTINUATION, TEXT, BINARY, PING, PONG, CLOSE, random.randrange(256)))
        fin = random.random() < 0.4 or frame >= CLOSE
        taken = tried(Violation, assembler.take, frame, fin, random.random() < 0.01, payload)
        if isinstance(taken, Violation):
            assert taken.code in (1002, 1007, 1009)
            assembler, opcode, sent = Assembler(SIZE_MAX), 0, b""
        elif frame in (PING, PONG, CLOSE):
            assert taken == (frame, payload)
        else:
            opcode, sent = opcode or frame, sent + payload
            assert len(sent) <= SIZE_MAX
            assert taken == ((opcode, sent) if fin else None)
            if fin:
                if opcode == TEXT:
                    sent.decode()
                opcode, sent = 0, b""
        code = tried(Violation, close_code, payload)
        assert code.code in (1002, 1007) if isinstance(code, Violation) else 1000 <= code < 5000


def test_decoders_take_a_message_or_say_that_it_is_none(seed: int) -> None:
    random = Random(seed)
    market = QuietMarket()
    good = requests(random, market)
    said = answers_of_a_market(random)
    for _ in range(BATCH):
        codec = random.choice(list(CODECS.values()))
        request = tried(Malformed, codec.read_request, mutated(random, next(good), random.choice(said), codec))
        assert str(request) if isinstance(request, Malformed) else isinstance(request, Request)
        answer = tried(UNREADABLE, codec.decode_answer, mutated(random, random.choice(said), next(good), codec))
        assert isinstance(answer, (Answer, *UNREADABLE))


def test_tokens_are_refused_or_good(seed: int) -> None:
    random = Random(seed)
    authenticator = Authenticator([key_of("HS256", SECRET)], CONFIG)
    for _ in range(BATCH):
        claims = tried(TokenRefused, authenticator.verify, mistaken_token(random, "alice", START), START / 10**9)
        if not isinstance(claims, TokenRefused):
            assert claims.subject.isprintable()
            assert claims.expires > START // 10**9


def test_a_session_answers_every_request_once_and_the_engine_stays_whole(seed: int) -> None:
    random = Random(seed)
    market = QuietMarket(subscriptions_max=6, account_events_kept=50, bytes_burst=1 << 30)
    desks = [Desk(market, random.choice(list(CODECS.values()))) for _ in range(6)]
    for desk, subject in zip(desks, ("alice", "alice", "bob", "carol"), strict=False):
        desk.sign_in(subject)
    good = requests(random, market)
    for step in range(BATCH):
        desk = random.choice(desks)
        payload = mutated(random, next(good), next(good), desk.codec)
        desk.send(payload)
        market.tick(market.now)
        replies = [message for message in desk.hear() if isinstance(message, Reply) and (message.id or isinstance(message, Error))]
        request = tried(Malformed, desk.codec.read_request, payload)
        if isinstance(request, Malformed):
            (refusal,) = [reply for reply in replies if isinstance(reply, Error)]
            assert (refusal.id, refusal.code) == (desk.codec.read_id(payload), ErrorCode.MALFORMED), (step, payload)
        else:
            assert [reply.id for reply in replies] == [request.id], (step, payload)
            assert not any(isinstance(reply, Error) and reply.code == ErrorCode.INTERNAL for reply in replies)
        assert not desk.session.closed
        market.now += random.randrange(10**6)
        if step % 100 == 0:
            market.exchange.check()
    market.exchange.check()


def test_a_client_takes_in_frames_or_asks_again_and_a_snapshot_makes_it_right(seed: int) -> None:
    asyncio.run(follow(Random(seed)))


class Fed(Client):
    """A client that is handed what a server might say."""

    def __init__(self) -> None:
        super().__init__("ws://nowhere")
        self.fed_by = Mock()

    def feed(self, payload: bytes) -> None:
        """Take in a message of the one connection."""
        self._receive(self.fed_by, payload)

    async def _leave(self) -> None:
        """There is no connection to close."""


async def follow(random: Random) -> None:
    said = answers_of_a_market(random)
    client = Fed()
    lives = client.prepare(CHANNELS)
    client.feed(MSGPACK.encode(next(message for message in said if isinstance(message, Welcome))))
    snapshot = next(message for message in said if isinstance(message, Book) and message.prev is None)
    book = next(live for live in lives if live.channel == snapshot.channel)
    for _ in range(BATCH):
        tried(BROKEN_OFF, client.feed, mutated(random, random.choice(said), random.choice(said), MSGPACK))
        if random.random() < 0.05:
            client.feed(MSGPACK.encode(snapshot))
            assert book.mirror.verified
            assert (book.mirror.epoch, book.mirror.seq) == (snapshot.epoch, snapshot.seq)
    await client.close()
