"""SIGHUP reads keys and revocations again, and ends nothing."""

import asyncio
import hmac
import json
import logging
import operator
import os
import pty
import signal
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt
import msgspec
import pytest

from stream.access import key_files
from stream.access.api_keys import ApiKey, RequestRefused, RevokedKey, secret_of
from stream.access.auth import Authenticator
from stream.access.trust import Trust
from stream.settings.config import Config, ConfigError, KeyConfig, as_environment
from stream.wire.codec import MSGPACK
from stream.wire.codes import CloseCode
from stream.wire.messages import LoggedIn, Login, Welcome
from tests.access.issuer import issuing, jwk, key_set
from tests.setting import CONFIG, SECRET, token
from tests.sockets import RawClient, get, run, serving
from tests.waiting import until, until_answered

OTHER = "another secret that is long enough to be one"


def bearer(secret: str, **changes: object) -> str:
    """A header with a token of now."""
    now = int(time.time())
    claims = {"sub": "alice", "iss": "deltabook", "aud": "deltabook", "iat": now, "exp": now + 1000} | changes
    return f"Authorization: Bearer {jwt.encode(claims, secret, algorithm='HS256')}\r\n"


async def enters(port: int, secret: str, **changes: object) -> bool:
    client, head = await RawClient.open(port, bearer(secret, **changes))
    client.close()
    return " 101 " in head


async def served(config: Config, **options: object) -> tuple[asyncio.subprocess.Process, int]:
    """`deltabook serve` in a process of its own, and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-m", "stream", "serve", env=os.environ | as_environment(config), stdout=PIPE, **options,    # type: ignore[arg-type]
    )
    assert process.stdout
    while "WebSocket" not in (line := (await process.stdout.readline()).decode()):
        assert line
    return process, int(line.rpartition("127.0.0.1:")[2].partition("/")[0])


@pytest.mark.parametrize("workers", [False, True])
def test_a_hangup_changes_the_keys_and_ends_nothing(workers: bool, tmp_path: Path) -> None:
    key, revoked = tmp_path / "key", tmp_path / "revoked.jsonl"
    config = msgspec.structs.replace(
        CONFIG, port=0, workers=int(workers), keys=(KeyConfig("HS256", file=str(key)),), revocations_file=str(revoked), drain_timeout_s=1, return_window_ms=50,
    )

    @run
    async def scene() -> None:
        nonlocal workers
        key.write_text(SECRET)
        process, port = await served(config)
        try:
            while workers:    # until one listens
                try:
                    workers = (await get(port, "/ready"))[0].startswith("HTTP/1.1 503")
                except OSError:
                    await asyncio.sleep(0.05)
            client, _ = await RawClient.open(port, bearer(SECRET))
            assert isinstance(await client.message(), Welcome)
            key.write_text(OTHER)
            revoked.write_text(json.dumps({"at": time.time(), "token_id": "lost"}) + "\n")
            process.send_signal(signal.SIGHUP)
            await until_answered(lambda: enters(port, OTHER), bool)
            assert not await enters(port, SECRET)
            await until_answered(lambda: enters(port, OTHER, jti="lost"), operator.not_)
            key.write_text("short")
            process.send_signal(signal.SIGHUP)
            client.send(Login(1, bearer(OTHER).split()[2]))    # on the connection that was there all the time
            while not isinstance(await client.message(), LoggedIn):
                pass
            assert await enters(port, OTHER)
            assert process.returncode is None
            client.close()
        finally:
            process.terminate()
            assert await process.wait() == 0

    scene()


def test_a_server_stops_when_the_terminal_that_it_was_started_in_is_gone(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        ours, theirs = pty.openpty()
        process, _ = await served(msgspec.structs.replace(CONFIG, port=0, journal=str(tmp_path / "journal")), stdin=theirs, start_new_session=True)
        os.close(theirs)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert await process.wait() == 0
        assert list((tmp_path / "journal").glob("*.snapshot"))    # a clean stop

    scene()


@run
async def test_a_key_set_is_fetched_at_once_when_it_is_asked_for() -> None:
    with issuing(key_set(jwk("EdDSA", "one"))) as (url, issuer):
        async with serving(jwks=url) as server:
            keys = server.market.authenticator.keys
            await until(lambda: keys.find("one"))
            issuer.body = key_set(jwk("EdDSA", "two"))
            server.reload()
            await until(lambda: not keys.find("one") and keys.find("two"))
            assert issuer.asked == 2


def test_keys_that_cannot_be_read_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "key"

    @run
    async def scene() -> None:
        path.write_text(SECRET)
        async with serving(keys=(KeyConfig("HS256", file=str(path)),)) as server:
            for spoil in (path.unlink, lambda: path.write_text("short"), lambda: path.write_bytes(b"\xff" * 64)):
                path.write_text(SECRET)
                spoil()
                caplog.clear()
                server.reload()
                assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
                    (logging.ERROR, "the keys cannot be read again; the old keys stay valid"),
                ]
                assert (await RawClient.open(server.port, f"Authorization: Bearer {token('alice', server.clock.now())}\r\n"))[1].startswith("HTTP/1.1 101")

    scene()


def hmac_key(id: str, now: int) -> ApiKey:
    return ApiKey(id, "alice", ("account", "trade"), now, now + 1000)


@run
async def test_a_server_follows_its_file_of_api_keys() -> None:
    with TemporaryDirectory() as folder:
        config = msgspec.structs.replace(CONFIG, api_keys=f"{folder}/keys.jsonl", api_keys_master=f"{folder}/master")
        key_files.make_master(config)
        async with serving(config) as server:
            authenticator, now = server.market.authenticator, server.clock.now() // 10**9
            one, two = hmac_key("one", now), hmac_key("two", now)
            key_files.add(config, one)
            while not authenticator.api_keys.find("one"):
                await asyncio.sleep(0.01)
            key_files.add(config, two)
            while not authenticator.api_keys.find("two"):
                await asyncio.sleep(0.01)
            by_one, by_two = (server.market.connect(MSGPACK, server.clock.now()) for _ in range(2))
            for session, key in ((by_one, one), (by_two, two)):
                session.sign_in(key.claims(), server.clock.now(), lambda: None)
            while not (by_one.subject and by_two.subject):
                await asyncio.sleep(0.01)
            key_files.add(config, RevokedKey("one", now))
            while not by_one.closed:
                await asyncio.sleep(0.01)
            assert by_one.closed[0] == CloseCode.REVOKED
            assert not by_two.closed
            with pytest.raises(RequestRefused, match="revoked"):
                authenticator.verify_request("one", b"", hmac.new(secret_of(one, key_files.read_master(config)).encode(), b"", "sha256").hexdigest(), now)
            os.unlink(config.api_keys)
            while authenticator.api_keys.find("two"):
                await asyncio.sleep(0.01)
            server.market.disconnect(by_one, server.clock.now())
            server.market.disconnect(by_two, server.clock.now())


def test_api_keys_that_cannot_be_read_again_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = msgspec.structs.replace(CONFIG, api_keys=str(tmp_path / "keys.jsonl"), api_keys_master=str(tmp_path / "master"))
    master = Path(config.api_keys_master)

    @run
    async def scene() -> None:
        key_files.make_master(config)
        key_files.add(config, hmac_key("one", int(time.time())))
        async with serving(config) as server:
            keys, trust = server.market.authenticator.api_keys, Trust(server.market.authenticator, config)
            assert keys.find("one")
            for spoil, mend in (
                (lambda: master.chmod(0o644), lambda: master.chmod(0o600)),
                (lambda: master.rename(tmp_path / "away"), lambda: (tmp_path / "away").rename(master)),
                (lambda: Path(config.api_keys).write_text("nonsense"), lambda: None),
            ):
                spoil()
                with pytest.raises(ConfigError):    # nor would a server start with them
                    Trust(server.market.authenticator, config)
                caplog.clear()
                trust.reload()
                trust.keep(server.clock.now(), lambda: None)
                assert "the API keys cannot be read again; the old ones stay valid" in [record.getMessage() for record in caplog.records]
                assert keys.find("one")
                mend()

    scene()


def test_a_hangup_without_a_file_of_api_keys_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    authenticator = Authenticator([], Config())
    trust = Trust(authenticator, msgspec.structs.replace(CONFIG, api_keys="", api_keys_master=""))
    trust.reload()
    trust.keep(0, lambda: None)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert len(authenticator.api_keys) == 0
