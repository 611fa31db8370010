"""Nobody gets in with anything but a valid token."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from stream.auth import Authenticator, TokenRefused, mint
from stream.config import Config, ConfigError, KeyConfig
from stream.keys import Key, key_of, load_keys

NOW = 1_700_000_000
SECRET = "a secret that is long enough to be one"
CLAIMS = {"sub": "alice", "iss": "deltabook", "aud": "deltabook", "iat": NOW, "exp": NOW + 60, "scope": "account trade"}


def pem(key: Any) -> str:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


PRIVATE: dict[str, Any] = {
    "HS256": SECRET,
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}
PUBLIC = {algorithm: SECRET if algorithm == "HS256" else pem(key) for algorithm, key in PRIVATE.items()}


def refused(token: str, authenticator: Authenticator | None = None, now: int = NOW) -> str:
    with pytest.raises(TokenRefused) as refusal:
        (authenticator or Authenticator([key_of("HS256", SECRET)], Config())).verify(token, now)
    return str(refusal.value)


def signed(algorithm: str = "HS256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, PRIVATE[algorithm], algorithm=algorithm, headers=headers)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_good_token_says_who_and_what(algorithm: str) -> None:
    claims = Authenticator([key_of(algorithm, PUBLIC[algorithm])], Config()).verify(signed(algorithm), NOW)
    assert claims == ("alice", frozenset({"account", "trade"}), NOW + 60, NOW, "")


@pytest.mark.parametrize("claim", ["sub", "iss", "aud", "iat", "exp"])
def test_every_claim_is_required(claim: str) -> None:
    assert claim in refused(signed(**{claim: None}))


@pytest.mark.parametrize("changes", [
    {"iss": "somebody"}, {"aud": "another"}, {"aud": ["deltabook", "another"]}, {"exp": NOW}, {"exp": NOW - 1}, {"iat": NOW + 60, "exp": NOW + 120},
    {"nbf": NOW + 30}, {"exp": NOW + 10**9}, {"sub": ""}, {"sub": 5}, {"sub": "a\nb"}, {"sub": "x" * 200}, {"scope": ["trade"]}, {"exp": "soon"}, {"iat": True},
    {"exp": 1e300},
])
def test_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    refused(signed(**changes))


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_public_key_is_not_a_secret(algorithm: str) -> None:
    """The classic forgery: sign with HS256, with the public key's text as the secret."""
    header = urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).rstrip(b"=")
    body = urlsafe_b64encode(json.dumps(CLAIMS).encode()).rstrip(b"=")
    signature = urlsafe_b64encode(jwt.get_algorithm_by_name("HS256").sign(header + b"." + body, PUBLIC[algorithm].encode())).rstrip(b"=")
    forged = b".".join((header, body, signature)).decode()
    assert "algorithm" in refused(forged, Authenticator([key_of(algorithm, PUBLIC[algorithm])], Config()))


def test_what_is_no_token_is_refused() -> None:
    good = signed()
    unsigned = jwt.encode(CLAIMS, None, algorithm="none")    # type: ignore[arg-type]
    other = [signed(headers={"typ": "JOSE"}), signed(headers={"kid": "other"})]
    for token in ("", "x", "a.b.c", unsigned, good[:-4] + "AAAA", good + "x" * 9000, "\ud800.a.b", *other):
        refused(token)


def test_the_key_is_chosen_by_its_id() -> None:
    keys = [key_of("EdDSA", PUBLIC["EdDSA"], "new"), key_of("HS256", SECRET, "old")]
    authenticator = Authenticator(keys, Config())
    assert authenticator.verify(signed("EdDSA", {"kid": "new"}), NOW).subject == "alice"
    assert authenticator.verify(signed("HS256", {"kid": "old"}), NOW).subject == "alice"
    assert "algorithm" in refused(signed("HS256", {"kid": "new"}), authenticator)
    assert "not known" in refused(signed("HS256"), authenticator)


def test_without_keys_nobody_gets_in() -> None:
    refused(signed(), Authenticator([], Config()))


def test_a_short_secret_is_no_key() -> None:
    with pytest.raises(ConfigError):
        key_of("HS256", "abc")
    with pytest.raises(ConfigError):
        key_of("RS256", "not a key")


def test_a_development_key_is_made_on_a_local_address_only(tmp_path: Path) -> None:
    config = Config(key_file=str(tmp_path / "keys" / "development.key"))
    (key,) = load_keys(config)
    assert isinstance(key, Key)
    assert (tmp_path / "keys" / "development.key").stat().st_mode & 0o077 == 0
    token = mint(config, "bob", ["trade"], 60, NOW)
    assert Authenticator(load_keys(config), config).verify(token, NOW).subject == "bob"
    assert load_keys(Config(host="0.0.0.0", key_file=config.key_file)) == []


def test_keys_come_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PUBLIC["EdDSA"])
    config = Config(keys=(KeyConfig("EdDSA", file=str(tmp_path / "key.pem")),))
    assert load_keys(config)[0].algorithm == "EdDSA"
    with pytest.raises(ConfigError, match="no HS256 key"):
        mint(config, "bob", [], 60, NOW)
    with pytest.raises(ConfigError, match="absent"):
        load_keys(Config(keys=(KeyConfig("EdDSA", file=str(tmp_path / "absent")),)))
