"""Clients that exist, as they are on PyPI, with nothing set but URLs: their book is the engine's at every update id that they show."""

import asyncio
import json
import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stream.dialects.face import start_dialects
from stream.server.market_server import MarketServer
from stream.sources.simulated import SimulatedSource
from tests.dialects.client_books import SHOWN
from tests.dialects.installed import NODE, ROOT, command, require
from tests.setting import CONFIG
from tests.sockets import run, serving

SECONDS = float(os.environ.get("DELTABOOK_SECONDS", "4"))
EVENTS_MIN = 3
"""What a client that follows at once a second hears at least."""

PACKAGES = {
    "python-binance": "binance", "python-binance-slow": "binance", "ccxt": "ccxt", "cryptofeed": "cryptofeed", "unicorn": "unicorn_binance_websocket_api",
    "nautilus": "nautilus_trader", "npm-ccxt": NODE, "npm-binance-api-node": NODE,
}

Book = tuple[list[list[float]], list[list[float]]]


class Past:
    """The engine's best levels at each sequence at which anything could be told, as the server's follower that is ahead of the dialect."""

    def __init__(self, server: MarketServer) -> None:
        self.books: dict[int, Book] = {}
        self._levels = server.market.exchange.book("ETH-USDT").levels
        terms = next(terms for terms in server.market.instrument_terms() if terms.name == "ETH-USDT")
        self._tick, self._lot = float(terms.tick), float(terms.lot)

    def tick(self, now: int) -> int:
        if self._levels.seq not in self.books:
            bids, asks = self._levels.depth(SHOWN)
            self.books[self._levels.seq] = self._told(bids), self._told(asks)
        return 1 << 62

    def _told(self, flat: list[int]) -> list[list[float]]:
        return [[round(flat[i] * self._tick, 8), round(flat[i + 1] * self._lot, 8)] for i in range(0, len(flat), 2)]

    def keep_house(self, now: int) -> None:
        pass

    async def stop(self) -> None:
        pass


def certificate(folder: Path) -> Path:
    """A certificate of this machine, with its key, for a client that takes TLS only."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )
    path = folder / "here.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
    ))
    return path


async def end_tls(port: int, path: Path) -> asyncio.Server:
    """What stands in front of a server and ends TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, to), pump(there, writer))

    return await asyncio.start_server(enter, "127.0.0.1", 0, ssl=context)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_book_of_a_client_is_the_engines_at_every_update_id_that_it_shows(name: str, tmp_path: Path) -> None:
    require(name, PACKAGES)
    run(lambda: follow(name, tmp_path), SECONDS + 120)()


async def follow(name: str, folder: Path) -> None:
    """Let a client follow a book, and compare."""
    async with serving(CONFIG, [SimulatedSource(1, 200)]) as server:
        past = Past(server)
        server.followers.append(past)
        [face] = start_dialects({"binance": 0}, server)
        address, scheme, arguments = f"127.0.0.1:{face.port}", "", []
        if name == "cryptofeed":
            path = certificate(folder)
            tls = await end_tls(face.port, path)
            address, scheme, arguments = f"127.0.0.1:{tls.sockets[0].getsockname()[1]}", "s", [str(path)]
        client = await asyncio.create_subprocess_exec(
            *command(name, PACKAGES, "books"), f"http{scheme}://{address}", f"ws{scheme}://{address}", str(SECONDS), *arguments,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        out, err = await client.communicate()
        if name == "cryptofeed":
            tls.close()
    assert client.returncode == 0, err.decode()
    told = [json.loads(line) for line in out.splitlines() if line.startswith(b"[")]
    assert len(told) >= EVENTS_MIN, err.decode()
    for id, bids, asks in told:
        assert ([[round(number, 8) for number in level] for level in bids], [[round(number, 8) for number in level] for level in asks]) == past.books[id]
