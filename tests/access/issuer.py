"""An issuer of tokens: its keys, and the HTTP server that tells them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PRIVATE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def jwk(algorithm: str, kid: str, **changes: Any) -> dict[str, Any]:
    return json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(PRIVATE[algorithm].public_key())) | {"kid": kid, "use": "sig"} | changes


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


class Issuer(BaseHTTPRequestHandler):
    """A key server whose answer a test changes."""

    body = b""
    status = 200
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def issuing(body: bytes, status: int = 200) -> Iterator[tuple[str, type[Issuer]]]:
    handler = type("OneIssuer", (Issuer,), {"body": body, "status": status, "asked": 0})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/keys", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
