"""Keys that come and go, and tokens that are taken back."""

import asyncio
import json
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stream.access.auth import Authenticator, TokenRefused
from stream.access.claims import Claims
from stream.access.keys import KeySet, key_of, keys_in
from stream.access.revocations import Revocation, Revocations, read_lines
from stream.settings.config import Config, ConfigError
from stream.wire.administration import Revoke
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.messages import Error, LoggedIn, Login, Place
from tests.access.issuer import PRIVATE, issuing, jwk, key_set
from tests.setting import SECRET, START, token
from tests.sockets import RawClient, run, serving
from tests.waiting import until, until_answered
from tests.worlds import Desk, QuietMarket

S = 10**9
NOW = START // S


def signed(algorithm: str, kid: str, **changes: Any) -> str:
    claims = {"sub": "alice", "iss": "deltabook", "aud": "deltabook", "iat": NOW, "exp": NOW + 10_000, "scope": "account trade"}
    return jwt.encode(claims | changes, PRIVATE[algorithm], algorithm=algorithm, headers={"kid": kid})


# Key sets


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_key_of_a_key_set_is_good_for_its_algorithm_only(algorithm: str) -> None:
    authenticator = Authenticator([], Config(jwks="keys.json"))
    authenticator.keys.take(key_set(jwk(algorithm, "k")))
    assert authenticator.verify(signed(algorithm, "k"), NOW).subject == "alice"
    forged = jwt.encode({"sub": "alice"}, SECRET, algorithm="HS256", headers={"kid": "k"})
    with pytest.raises(TokenRefused, match="algorithm"):
        authenticator.verify(forged, NOW)


def test_what_of_a_key_set_is_not_taken() -> None:
    secret = {"kty": "oct", "kid": "s", "k": "c2VjcmV0" * 8, "alg": "HS256"}
    wide = json.loads(jwt.get_algorithm_by_name("ES384").to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key()))
    short = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(rsa.generate_private_key(65537, 1024).public_key()))
    bad = (
        secret, jwk("ES256", "e", use="enc"), jwk("EdDSA", ""), {"kty": "XYZ", "kid": "x"}, wide | {"kid": "w"}, wide | {"kid": "w", "alg": "ES256"},
        short | {"kid": "z"}, jwk("EdDSA", "n", alg="none"), jwk("RS256", "h", alg="HS256"), jwk("RS256", "p", alg="PS256"),
        jwk("RS256", "d", alg="EdDSA"), jwk("EdDSA", "r", alg="RS256"), jwk("RS256", "i", n=5), jwk("RS256", "l", alg=["RS256"]), jwk("RS256", 7),    # type: ignore[arg-type]
    )
    keys = keys_in(key_set(*bad, jwk("EdDSA", "good")))
    assert [(key.kid, key.algorithm) for key in keys] == [("good", "EdDSA")]
    for key in bad:
        with pytest.raises(ConfigError):
            keys_in(key_set(key))
    for nonsense in (b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": [5]}', b"\xff", key_set(), key_set(secret), b"[" * 100_000):
        with pytest.raises(ConfigError):
            keys_in(nonsense)


def test_a_key_set_is_fetched_in_time_and_for_a_key_that_is_not_known_at_a_bounded_rate() -> None:
    keys = KeySet([], Config(jwks="keys.json", jwks_refresh_s=300, jwks_retry_s=10))
    assert keys.due(START)
    assert not keys.due(START + 9 * S)
    assert keys.due(START + 10 * S)    # it could not be had
    keys.take(key_set(jwk("EdDSA", "old")))
    assert not keys.due(START + 300 * S)
    assert keys.due(START + 310 * S)
    for second in range(320, 340):
        assert keys.find("new") is None
        assert keys.due(START + second * S) == (second % 10 == 0), second
    with pytest.raises(ConfigError):
        keys.take(b"nonsense")
    assert keys.find("old")
    keys.take(key_set(jwk("EdDSA", "new")))
    assert keys.find("new")
    assert keys.find("old") is None


def test_configured_keys_stay_good_beside_a_key_set() -> None:
    authenticator = Authenticator([key_of("HS256", SECRET, "mine")], Config(jwks="keys.json"))
    authenticator.keys.take(key_set(jwk("EdDSA", "theirs")))
    claims = {"sub": "bob", "iss": "deltabook", "aud": "deltabook", "iat": NOW, "exp": NOW + 10}
    assert authenticator.verify(jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "mine"}), NOW).subject == "bob"
    assert authenticator.verify(signed("EdDSA", "theirs"), NOW).subject == "alice"
    with pytest.raises(TokenRefused, match="does not know"):
        authenticator.verify(jwt.encode(claims, SECRET, algorithm="HS256"), NOW)


def test_a_server_follows_the_rotation_of_its_issuers_keys() -> None:
    @run
    async def scene() -> None:
        with issuing(key_set(jwk("EdDSA", "one"))) as (url, issuer):
            async with serving(jwks=url, jwks_retry_s=1) as server:
                now = server.clock.now() // S
                times = {"iat": now, "exp": now + 1000}

                async def head(kid: str, algorithm: str = "EdDSA") -> str:
                    return (await RawClient.open(server.port, f"Authorization: Bearer {signed(algorithm, kid, **times)}\r\n"))[1]

                await until_answered(lambda: head("one"), lambda answer: " 101 " in answer)
                issuer.body = key_set(jwk("EdDSA", "one"), jwk("ES256", "two"))
                refusal = await head("two", "ES256")
                assert " 401 " in refusal
                assert "Retry-After: 1" in refusal
                await until_answered(lambda: head("two", "ES256"), lambda answer: " 101 " in answer)
                assert issuer.asked == 2
                issuer.body = b"nonsense"
                await head("three")
                await until(lambda: server.market.authenticator.keys.failures)
                assert " 101 " in await head("two", "ES256")

    scene()


def test_a_server_asks_its_issuer_seldom_and_does_without_it() -> None:
    @run
    async def scene() -> None:
        with ExitStack() as issuers:
            url, issuer = issuers.enter_context(issuing(key_set(*(jwk(algorithm, algorithm) for algorithm in PRIVATE))))
            async with serving(jwks=url, jwks_retry_s=1) as server:
                authenticator, now = server.market.authenticator, server.clock.now()
                times = {"iat": now // S, "exp": now // S + 1000}

                async def head(bearer: str) -> str:
                    client, head = await RawClient.open(server.port, f"Authorization: Bearer {bearer}\r\n")
                    client.close()
                    return head

                good = [token("alice", now), *(signed(algorithm, algorithm, **times) for algorithm in PRIVATE)]
                await until(lambda: authenticator.keys.find("EdDSA"))
                for bearer in good:
                    assert " 101 " in await head(bearer)
                asked, began = issuer.asked, time.monotonic()
                while issuer.asked < asked + 2:
                    assert "Retry-After: 1" in await head(signed("EdDSA", "unknown", **times))
                    await asyncio.sleep(0.01)
                assert time.monotonic() - began > 0.9
                issuers.close()
                failures = authenticator.keys.failures
                await head(signed("EdDSA", "unknown", **times))
                await until(lambda: authenticator.keys.failures != failures)
                for bearer in good:
                    assert " 101 " in await head(bearer)

    scene()


# Revocations


def test_a_token_or_a_subject_is_revoked() -> None:
    revocations = Revocations(Config())
    alice, bob = Claims("alice", frozenset(), NOW + 10, NOW, "a1"), Claims("bob", frozenset(), NOW + 10, NOW)
    assert not revocations.refuse(alice)
    revocations.add(Revocation(NOW, token_id="a1"))
    assert revocations.refuse(alice)
    assert not revocations.refuse(bob)
    revocations.add(Revocation(NOW + 5, subject="bob"))
    assert revocations.refuse(bob)
    assert revocations.refuse(bob._replace(issued=NOW + 10)), "the issuer's clock may be ahead"
    assert not revocations.refuse(bob._replace(issued=NOW + 11))


def test_revocations_are_forgotten_when_no_such_token_can_live() -> None:
    revocations = Revocations(Config(token_lifetime_s_max=100, api_key_lifetime_s_max=50))
    revocations.add(Revocation(NOW, token_id="a1"))
    revocations.add(Revocation(NOW + 50, subject="bob"))
    revocations.forget(NOW + 105)
    assert len(revocations) == 2
    revocations.forget(NOW + 106)
    assert len(revocations) == 1


def test_a_revoked_token_closes_its_connections_and_opens_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deltabook.audit")
    market = QuietMarket()
    first, second, other = Desk(market), Desk(market), Desk(market).sign_in("bob")
    good = token("alice", market.now, jti="t1")
    first.ask(Login, good)
    second.ask(Login, token("alice", market.now, jti="t2"))
    admin = Desk(market).sign_in("root", "admin")
    admin.ask(Revoke, token_id="t1")
    assert first.session.closed == (CloseCode.REVOKED, "the token has been revoked")
    assert second.session.closed is None
    assert Desk(market).ask(Login, good)[0].code == ErrorCode.BAD_TOKEN
    admin.ask(Revoke, subject="alice")
    assert second.session.closed == (CloseCode.REVOKED, "the token has been revoked")
    assert other.session.closed is None
    market.now += 6 * S
    assert isinstance(Desk(market).ask(Login, token("alice", market.now))[0], LoggedIn)
    assert [(record.subject, record.request, record.arguments, record.outcome) for record in caplog.records] == [    # type: ignore[attr-defined]
        ("root", "revoke", {"subject": "", "token_id": "t1"}, "done"),
        ("root", "revoke", {"subject": "alice", "token_id": ""}, "done"),
    ]
    assert good not in caplog.text


@pytest.mark.parametrize("revoked", [{"token_id": "t1"}, {"subject": "alice"}])
def test_a_token_that_is_revoked_while_its_account_is_opened_is_worth_nothing(revoked: dict[str, str]) -> None:
    market = QuietMarket()
    admin, desk = Desk(market).sign_in("root", "admin"), Desk(market)
    for message in (Login(1, token("alice", market.now, jti="t1")), Place(2, "BTC-USD", "buy", 100, 5)):
        desk.send(desk.codec.encode(message))
    admin.ask(Revoke, **revoked)
    assert desk.session.closed == (CloseCode.REVOKED, "the token has been revoked")
    assert desk.hear() == []
    assert market.exchange.order_count == 0


def test_an_issuers_clock_that_is_ahead_saves_no_token() -> None:
    market = QuietMarket()
    admin, desk = Desk(market).sign_in("root", "admin"), Desk(market)
    desk.ask(Login, token("alice", market.now, iat=NOW + 5))
    admin.ask(Revoke, subject="alice")
    assert desk.session.closed == (CloseCode.REVOKED, "the token has been revoked")


def test_a_file_of_revocations_is_followed_and_added_to(tmp_path: Path) -> None:
    path = tmp_path / "revoked.jsonl"

    @run
    async def scene() -> None:
        async with serving(revocations_file=str(path)) as server:
            now = server.clock.now()
            client, _ = await RawClient.open(server.port, f"Authorization: Bearer {token('alice', now, jti='t1')}\r\n")
            await client.message()
            path.write_text(f'{{"at": {now // S}, "token_id": "t1"}}\n')
            assert await client.close_code() == CloseCode.REVOKED
            path.write_bytes(path.read_bytes().rstrip())    # as an editor may leave it
            admin, _ = await RawClient.open(server.port, f"Authorization: Bearer {token('root', now, 'admin')}\r\n")
            await admin.message()
            admin.send(Revoke(1, subject="bob"))
            await admin.message()
            await until(lambda: b"bob" in path.read_bytes())
            assert [(entry.token_id, entry.subject) for entry in read_lines(path.read_bytes())] == [("t1", ""), ("", "bob")]
        async with serving(revocations_file=str(path)) as server:
            await until(lambda: len(server.market.authenticator.revocations))
            _, head = await RawClient.open(server.port, f"Authorization: Bearer {token('bob', now - S)}\r\n")
            assert " 401 " in head

    scene()


def test_a_file_that_cannot_be_read_is_told_and_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "revoked.jsonl"
    good = b'{"at": 4000000000, "token_id": "t1"}\n'
    path.write_bytes(good + b'{"at": 2, "tok": 5}\n')
    with pytest.raises(ConfigError, match="line 2"):
        read_lines(path.read_bytes())

    @run
    async def scene() -> None:
        async with serving(revocations_file=str(path)) as server:
            await until(lambda: caplog.records)
            assert len(server.market.authenticator.revocations) == 0
            os.truncate(path, len(good))
            await until(lambda: len(server.market.authenticator.revocations))

    scene()


def test_a_mistake_of_an_administrator_is_refused() -> None:
    market = QuietMarket()
    admin = Desk(market).sign_in("root", "admin")
    for fields in ({}, {"subject": "a", "token_id": "b"}):
        (answer,) = admin.ask(Revoke, **fields)
        assert isinstance(answer, Error)
        assert answer.code == ErrorCode.MALFORMED
