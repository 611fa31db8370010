"""Nobody gets in with anything but a valid token."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import example, given
from hypothesis import strategies as st

from stream.access.auth import Authenticator, TokenRefused, mint
from stream.access.keys import Key, key_of, read_keys
from stream.settings.config import Config, ConfigError, KeyConfig

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


def with_header(header: dict[str, Any], secret: str = SECRET) -> str:
    """A token with a header that PyJWT would not make."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256", "typ": "JWT"} | header, CLAIMS)]
    signature = jwt.get_algorithm_by_name("HS256").sign(b".".join(parts), secret.encode())
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_good_token_says_who_and_what(algorithm: str) -> None:
    claims = Authenticator([key_of(algorithm, PUBLIC[algorithm])], Config()).verify(signed(algorithm), NOW)
    assert claims == ("alice", frozenset({"account", "trade"}), NOW + 60, NOW, "")


@pytest.mark.parametrize("claim", ["sub", "iss", "aud", "iat", "exp"])
def test_every_claim_is_required(claim: str) -> None:
    assert claim in refused(signed(**{claim: None}))


@pytest.mark.parametrize("changes", [
    {"iss": "somebody"}, {"aud": "another"}, {"aud": ["another"]}, {"aud": ["deltabook", 5]}, {"aud": {"deltabook": 1}},
    {"exp": NOW}, {"exp": NOW - 1}, {"iat": NOW + 60, "exp": NOW + 120},
    {"nbf": NOW + 30}, {"exp": NOW + 10**9}, {"sub": ""}, {"sub": 5}, {"sub": "a\nb"}, {"sub": "x" * 200}, {"scope": ["trade"]}, {"scp": [5]},
    {"scp": {"trade": 1}},
    {"scope": 5}, {"exp": "soon"}, {"iat": True}, {"exp": 1e300}, {"nbf": "now"}, {"jti": 5}, {"jti": "a\nb"}, {"exp": 10**11, "iat": 10**11 - 60},
])
def test_a_wrong_claim_is_refused_by_its_name(changes: dict[str, Any]) -> None:
    text = refused(signed(**changes))
    assert text.split(":")[0].split()[0] in changes
    if changes.keys() & {"iss", "aud"}:
        assert "expected 'deltabook'" in text


AUTH0 = {
    "iss": "deltabook", "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": ["deltabook", "https://tenant.example/userinfo"], "azp": "my_client_id",
    "iat": NOW, "exp": NOW + 60, "scope": "openid profile trade", "permissions": ["read:books"],
}
KEYCLOAK = {
    "iss": "deltabook", "sub": "f:550e8400-e29b-41d4-a716-446655440000:alice", "aud": ["account", "deltabook"], "typ": "Bearer", "azp": "web", "sid": "a1",
    "jti": "onrtac:7d1b4a52", "iat": NOW, "exp": NOW + 60, "acr": "1", "scope": "profile trade", "realm_access": {"roles": ["offline_access"]},
}
OKTA = {
    "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": "deltabook", "aud": "deltabook", "iat": NOW, "exp": NOW + 60,
    "cid": "0oa4", "uid": "00u4", "scp": ["openid", "trade"], "auth_time": NOW - 9, "sub": "alice@example.com",
}


@pytest.mark.parametrize(("claims", "headers"), [
    (AUTH0, {"typ": "JWT"}), (AUTH0, {"typ": "at+jwt"}), (KEYCLOAK, {"typ": "JWT"}), (OKTA, {"typ": None}),
    (OKTA, {"typ": "application/okta-internal-at+jwt"}),
])
def test_tokens_of_the_usual_issuers_are_taken(claims: dict[str, Any], headers: dict[str, Any]) -> None:
    token = jwt.encode(claims, SECRET, algorithm="HS256", headers=headers)
    authenticator = Authenticator([key_of("HS256", SECRET)], Config())
    if "okta-internal" in str(headers["typ"]):    # of its own server, whose tokens are for it alone
        assert refused(token, authenticator).startswith("typ 'application/okta-internal-at+jwt': expected JWT or at+jwt")
    else:
        found = authenticator.verify(token, NOW)
        assert (found.subject, "trade" in found.scopes, found.token_id) == (claims["sub"], True, claims.get("jti", ""))


@pytest.mark.parametrize("type", ["JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT", "application/jwt"])
def test_a_type_is_compared_without_regard_to_case(type: str) -> None:
    assert Authenticator([key_of("HS256", SECRET)], Config()).verify(signed(headers={"typ": type}), NOW).subject == "alice"


@pytest.mark.parametrize("type", ["JOSE", "logout+jwt", "dpop+jwt", "application/application/jwt", "text/jwt", "jwt ", 5, ["JWT"]])
def test_a_token_of_another_type_is_refused(type: Any) -> None:
    assert "typ" in refused(signed(headers={"typ": type}))


@pytest.mark.parametrize(("claims", "scopes"), [
    ({"scope": "account trade"}, {"account", "trade"}), ({"scope": None}, set()),
    ({"scope": ""}, set()), ({"scope": None, "scp": ["account"]}, {"account"}), ({"scope": None, "scp": "account trade"}, {"account", "trade"}),
    ({"scope": "account", "scp": ["trade"]}, {"account", "trade"}), ({"scope": None, "scp": []}, set()), ({"scope": "accounttrade"}, {"accounttrade"}),
])
def test_scopes_come_as_words_or_as_a_list(claims: dict[str, Any], scopes: set[str]) -> None:
    assert Authenticator([key_of("HS256", SECRET)], Config()).verify(signed(**claims), NOW).scopes == scopes


@pytest.mark.parametrize("crit", [["b64"], ["exp"], ["x"], [], "exp", None, [5]])
def test_an_extension_that_must_be_understood_is_refused(crit: Any) -> None:
    assert refused(with_header({"crit": crit, "exp": NOW, "x": 1, "b64": True})).startswith("crit")


def test_an_issuers_clock_may_be_off_by_so_much_and_no_more() -> None:
    authenticator = Authenticator([key_of("HS256", SECRET)], Config(clock_skew_s=5))
    for changes in ({"iat": NOW + 5}, {"nbf": NOW + 5}):
        authenticator.verify(signed(**changes), NOW)
    for changes in ({"iat": NOW + 6}, {"nbf": NOW + 6}):
        assert "not valid yet" in refused(signed(**changes), authenticator)
    authenticator.verify(signed(), NOW + 59)
    assert "has expired" in refused(signed(), authenticator, NOW + 60)    # whoever closes connections at that time must not take it


def test_a_token_without_a_key_id_is_for_the_only_key() -> None:
    one, other = key_of("HS256", SECRET, "one"), key_of("EdDSA", PUBLIC["EdDSA"], "other")
    assert Authenticator([one], Config()).verify(signed(), NOW)
    assert refused(signed(), Authenticator([one, other], Config())).startswith("no kid")
    assert refused(signed(headers={"kid": "three"}), Authenticator([one, other], Config())).startswith("kid 'three'")
    assert refused(with_header({"kid": 5}), Authenticator([one], Config())).startswith("kid")


@given(st.integers(0, 400), st.integers(0, 400), st.characters())
@example(0, 0, "\ud800")
def test_no_refusal_repeats_the_token(at: int, cut: int, character: str) -> None:
    """Whatever is wrong with it: a client may show what it is told, and a log keeps it."""
    good = signed()
    token = good[: at % len(good)] + character + good[(at + cut) % len(good) :]
    try:
        Authenticator([key_of("HS256", SECRET)], Config()).verify(token, NOW)
    except TokenRefused as refusal:
        text = str(refusal)
        assert not any(part[i : i + 8] in text for part in token.split(".") for i in range(max(0, len(part) - 8)))


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_public_key_is_not_a_secret(algorithm: str) -> None:
    """The classic forgery: sign with HS256, with the public key's text as the secret."""
    forged = with_header({}, PUBLIC[algorithm])
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
    assert "does not know" in refused(signed("HS256"), authenticator)


def test_without_keys_nobody_gets_in() -> None:
    refused(signed(), Authenticator([], Config()))


def test_a_short_secret_is_no_key() -> None:
    with pytest.raises(ConfigError):
        key_of("HS256", "abc")
    with pytest.raises(ConfigError):
        key_of("RS256", "not a key")


def test_a_development_key_is_made_on_a_local_address_only(tmp_path: Path) -> None:
    config = Config(key_file=str(tmp_path / "keys" / "development.key"))
    (key,) = read_keys(config)
    assert isinstance(key, Key)
    assert (tmp_path / "keys" / "development.key").stat().st_mode & 0o077 == 0
    token = mint(config, "bob", ["trade"], 60, NOW)
    assert Authenticator(read_keys(config), config).verify(token, NOW).subject == "bob"
    assert read_keys(Config(host="0.0.0.0", key_file=config.key_file)) == []


def test_keys_come_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PUBLIC["EdDSA"])
    config = Config(keys=(KeyConfig("EdDSA", file=str(tmp_path / "key.pem")),))
    assert read_keys(config)[0].algorithm == "EdDSA"
    with pytest.raises(ConfigError, match="no HS256 key"):
        mint(config, "bob", [], 60, NOW)
    with pytest.raises(ConfigError, match="absent"):
        read_keys(Config(keys=(KeyConfig("EdDSA", file=str(tmp_path / "absent")),)))
