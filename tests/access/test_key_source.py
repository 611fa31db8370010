"""A key set behind a URL: who is asked, how long, how much, and that nobody else can answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stream.access.trust import KeySource
from stream.settings.config import Config, ConfigError
from tests.access.issuer import issuing, jwk, key_set
from tests.setting import CONFIG
from tests.sockets import run, serving
from tests.waiting import until

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@asynccontextmanager
async def answering(*parts: bytes, pause_s: float = 0, then_silent: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers whatever it is asked with these bytes, part by part; its URL, and what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readline())
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            while then_silent and await reader.read(1 << 12):
                pass
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys", asked
    finally:
        server.close()


async def refused(url: str, **settings: int) -> str:
    with pytest.raises(ConfigError) as refusal:
        await KeySource(Config(jwks=url, **settings)).read()    # type: ignore[arg-type]
    return str(refusal.value)


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "a body that drips": (HEAD + b"Content-Length: 900000\r\n\r\n", *[b" "] * 500),
    "a body in chunks that drips": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 500),
    "headers that drip": (HEAD, *[b"a: b\r\n"] * 500),
    "a first line that drips": tuple(bytes([byte]) for byte in HEAD * 30),
}


@pytest.mark.parametrize("parts", [*DRIPS.values(), ()], ids=[*DRIPS, "silence"])
def test_a_source_that_drips_is_given_one_time_for_all(parts: tuple[bytes, ...]) -> None:
    @run
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with answering(*parts, pause_s=0.02, then_silent=not parts) as (url, _):
            began = loop.time()
            source = KeySource(Config(jwks=url, jwks_timeout_s=1))
            with pytest.raises(ConfigError, match=r"within 1 seconds|ReadTimeout"):
                await source.read()
            assert 0.9 < loop.time() - began < 5

    scene()


@run
async def test_another_fetch_begins_after_one_that_dripped_and_the_server_ends_in_the_middle_of_one() -> None:
    loop = asyncio.get_running_loop()
    async with answering(*DRIPS["a body that drips"], pause_s=0.05) as (url, asked):
        async with serving(CONFIG, jwks=url, jwks_timeout_s=1, jwks_retry_s=1) as server:
            await until(lambda: len(asked) >= 2)
            assert server.market.authenticator.keys.failures == 1
            began = loop.time()
        assert loop.time() - began < 0.9    # it waits for no fetch


@pytest.mark.parametrize("answer", [
    b"nonsense\r\n\r\n", b"", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", HEAD + b"a: b\r\n" * 30_000 + b"\r\n", HEAD + b"Content-Length: 5\r\n\r\n{}",
    b"HTTP/1.1 500 Broken\r\n\r\n", b"HTTP/1.1 204 Nothing\r\n\r\n",
])
def test_a_source_that_does_not_speak_http_is_an_error_like_any_other(answer: bytes) -> None:
    @run
    async def scene() -> None:
        async with answering(answer) as (url, _):
            assert "127.0.0.1" in await refused(url)

    scene()


@pytest.mark.parametrize(("bytes_", "good"), [(100, True), (101, False)])
@pytest.mark.parametrize("told", [True, False])
def test_a_key_set_has_a_size_on_both_sides_of_the_limit(bytes_: int, good: bool, told: bool) -> None:
    @run
    async def scene() -> None:
        async with answering(HEAD + (b"Content-Length: %d\r\n" % bytes_ if told else b"Connection: close\r\n") + b"\r\n" + b"x" * bytes_) as (url, _):
            if good:
                assert await KeySource(Config(jwks=url, jwks_bytes_max=100)).read() == b"x" * 100
            else:
                assert "expected at most 100 bytes" in await refused(url, jwks_bytes_max=100)

    scene()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    @run
    async def scene() -> None:
        async with answering(key_set(jwk("EdDSA", "a"))) as (elsewhere, asked):
            async with answering(b"HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\n\r\n" % (status, elsewhere.encode())) as (url, _):
                assert f"status {status}: expected 200; redirects are not followed" in await refused(url)
            assert asked == []

    scene()


@pytest.mark.parametrize("variable", PROXIES)
def test_this_machine_is_asked_by_itself_whatever_proxy_the_environment_names(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @run
    async def scene() -> None:
        evil = key_set(jwk("EdDSA", "evil"))
        async with answering(HEAD + b"Content-Length: %d\r\n\r\n" % len(evil) + evil) as (proxy, asked):
            for name in (*PROXIES, "no_proxy", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv(variable, proxy.removesuffix("/keys"))
            for host in ("127.0.0.1", "localhost", "[::1]"):
                await refused(f"http://{host}:1/keys")
            with issuing(b"mine") as (url, _):
                assert await KeySource(Config(jwks=url)).read() == b"mine"
            assert asked == []
            if variable.lower() != "http_proxy":    # what is behind TLS proves itself, so a proxy may be in between
                await refused("https://keys.example/k")
                assert asked == [b"CONNECT keys.example:443 HTTP/1.1\r\n"]

    scene()


def test_keys_come_by_tls_or_from_this_machine() -> None:
    for url in ("https://a.example/k", "http://localhost:1/k", "http://[::1]/k", "http://127.9.9.9/k"):
        KeySource(Config(jwks=url))
    others = (
        "http://a.example/k", "ftp://a/k", "http://10.0.0.1/k", "file://localhost/k", "http://localhost.a.example/k", "http://localhost@a.example/k", "https:///k",
        "http://[::1", "http://0.0.0.0/k",
    )
    for url in others:
        with pytest.raises(ConfigError, match=r"^jwks"):
            KeySource(Config(jwks=url))


@run
async def test_a_refusal_names_the_place_without_its_password() -> None:
    text = await refused("http://user:secret@127.0.0.1:1/keys?token=secret")
    assert "http://127.0.0.1:1/keys" in text
    assert "secret" not in text


def test_a_key_set_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    @run
    async def scene() -> None:
        assert "no such file" in await refused(str(path))
        path.write_bytes(b"x" * 100)
        assert await KeySource(Config(jwks=str(path), jwks_bytes_max=100)).read() == b"x" * 100
        assert "at most 99 bytes" in await refused(str(path), jwks_bytes_max=99)
        assert "no such file" in await refused("/dev/zero")

    scene()
