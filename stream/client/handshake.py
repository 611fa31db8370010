"""Opens a WebSocket for a client: TCP, TLS and the handshake. Any failure is a ClientError that says what went wrong, and leaves no socket open.

Redirects are not followed, because they could carry the token to another server. No text holds the token, the user and password of a URL, or its query.
"""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from picows import WSError, WSListener, WSUpgradeResponse, ws_connect

from stream.client.errors import ClientError, SignInRefused
from stream.system.logs import Discreet
from stream.wire.codec import MSGPACK

TRIES_MAX = 8
"""How many addresses of one host name are tried."""

SAID_MAX = 300
"""How many characters of a server's refusal an error text shows."""

FRAME_BYTES_MAX = 1 << 28


def shown(url: str) -> str:
    """A URL without the parts that may be secret: user, password and query."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2].partition('?')[0]}{slash}{path.partition('?')[0].partition('#')[0]}"


def checked(url: str) -> str:
    """The URL of a server. Raises ClientError if it is malformed."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except (ValueError, AttributeError):
        good = False
    if not good:
        raise ClientError(f"{shown(str(url))!r}: expected ws:// or wss://, a host, and the path, such as ws://127.0.0.1:8080/v1")
    return url


def header_of(token: object) -> dict[str, str]:
    """The header for a token. Raises ClientError if it cannot be a token; the text of the error does not hold it."""
    if not isinstance(token, str):
        raise ClientError(f"the token: expected text, got {type(token).__name__}")
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ClientError("the token: expected three parts of letters, digits, - and _, separated by dots, and nothing else")
    return {"Authorization": f"Bearer {token}"}


class Handshake:
    """One attempt to open a WebSocket. `stage` says what it waits for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._socket: socket.socket | None = None
        self.stage = "the host's address"

    async def shake_hands(self, listener: WSListener, headers: dict[str, str]) -> None:
        """Connect `listener`. Raises SignInRefused if the server refuses the token, or ClientError if something else fails. Closes the socket if cancelled."""
        subprotocol = MSGPACK.subprotocol

        def accept(_: Any, response: WSUpgradeResponse) -> WSListener:
            chosen = response.headers.get("Sec-WebSocket-Protocol", subprotocol)
            if chosen != subprotocol:
                raise ClientError(f"the server speaks {chosen[:SAID_MAX]!r}: expected {subprotocol}")
            return listener

        try:
            await ws_connect(
                accept, self._url, extra_headers={"Sec-WebSocket-Protocol": subprotocol} | headers, max_frame_size=FRAME_BYTES_MAX, max_redirects=0,
                enable_auto_ping=True, websocket_handshake_timeout=None, socket_factory=self._connect, logger_name=Discreet(logging.getLogger("picows.client")),
            )
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception as error:    # whatever a server sends, this is one more failed attempt; it must not end the task that makes them
            self.abort()
            raise self._failure(error, headers) from error if isinstance(error, OSError) else None    # other causes may hold the header
        if not hasattr(listener, "transport"):
            raise ClientError(f"{shown(self._url)}: the connection was closed before the handshake was done{self._hint}")

    def abort(self) -> None:
        """Close the socket, whichever object owns it by now."""
        if self._socket:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)    # its owner sees the end of the stream, and closes it

    @property
    def _hint(self) -> str:
        return "; does it expect wss://, or is it not a deltabook server?" if self._url.startswith("ws:") else "; does it expect ws://?"

    async def _connect(self, url: Any) -> socket.socket:
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        failure: OSError = OSError(f"{url.host} has no address")
        self.stage = "a connection"
        for family, kind, protocol, _, address in addresses[:TRIES_MAX]:
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            try:
                await loop.sock_connect(self._socket, address)
            except BaseException as error:
                self._socket.close()
                self._socket = None
                if not isinstance(error, OSError):
                    raise
                failure = error
            else:
                self.stage = "TLS" if url.is_secure else "an answer to the handshake"
                return self._socket
        raise failure

    def _failure(self, error: Exception, headers: dict[str, str]) -> ClientError:
        """The error that says what went wrong."""
        text = str(error) or type(error).__name__
        if isinstance(error, WSError):
            text, refused = self._refusal(error, text)
            if refused:
                return SignInRefused(text)
        elif isinstance(error, ssl.CertificateError):
            text = f"the server's certificate is not trusted: {error.verify_message or text}"
        elif self.stage == "TLS" and isinstance(error, OSError | EOFError):
            text = f"TLS failed ({text}){self._hint}"
        elif isinstance(error, ConnectionError) and self._socket:
            text += self._hint
        for secret in headers.values():
            text = text.replace(secret, "...").replace(secret.removeprefix("Bearer "), "...")
        return ClientError(f"{shown(self._url)}: {text}")

    def _refusal(self, error: WSError, text: str) -> tuple[str, bool]:
        """What a server answered instead of completing the handshake, and whether it refused the token."""
        said = (getattr(error, "raw_body", None) or b"")[: 2 * SAID_MAX].decode(errors="replace").strip()
        response = getattr(error, "response", None)
        if response is None:
            return f"the answer does not come from a WebSocket server: {''.join(filter(str.isprintable, text))[:SAID_MAX]}{self._hint}", False
        if "\n" in said or not said.isprintable():    # a page
            said = f"the answer does not come from a WebSocket: is the path right, such as /v1? ({text})"
        refused = response.status == HTTPStatus.UNAUTHORIZED and "Retry-After" not in response.headers
        return (said or text)[:SAID_MAX], refused
