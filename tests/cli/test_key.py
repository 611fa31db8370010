"""`deltabook key`: what it prints, what it writes, and what it refuses."""

import hmac
import time
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.access import key_files
from stream.access.auth import Authenticator
from stream.cli import main
from stream.settings.config import Config, read_config


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    environment = {"DELTABOOK_API_KEYS": str(tmp_path / "keys.jsonl"), "DELTABOOK_API_KEYS_MASTER": str(tmp_path / "master")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_config(None, environment)


def authenticator(config: Config) -> Authenticator:
    """As a server with these files has it."""
    found = Authenticator([], config)
    keys, revoked = key_files.read_keys(config)
    found.api_keys.take(keys, key_files.read_master(config))
    for revocation in revoked:
        found.revocations.add(revocation)
    return found


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return dict(line.split() for line in capsys.readouterr().out.splitlines())


def test_a_new_key_is_good_at_once_and_its_secret_is_nowhere_but_here(config: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["key", "create", "alice", "--scopes", "trade", "account"]) == 0
    made = printed(capsys)
    good = hmac.new(made["secret"].encode(), b"x", "sha256").hexdigest()
    claims = authenticator(config).verify_request(made["key"], b"x", good, time.time())
    assert (claims.subject, claims.scopes, claims.token_id) == ("alice", {"account", "trade"}, made["key"])
    assert claims.expires - claims.issued == 365 * 24 * 3600
    assert all(made["secret"] not in path.read_text() for path in tmp_path.iterdir())
    assert main(["key", "list"]) == 0
    assert made["secret"] not in capsys.readouterr().out


def test_a_key_for_ed25519_needs_no_secret_of_ours(config: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    pem = tmp_path / "public.pem"
    pem.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    assert main(["key", "create", "bob", "--ed25519", str(pem), "--days", "1"]) == 0
    made = printed(capsys)
    assert made.keys() == {"key"}
    assert not Path(config.api_keys_master).exists()
    claims = authenticator(config).verify_request(made["key"], b"x", b64encode(private.sign(b"x")).decode(), time.time())
    assert (claims.subject, claims.scopes, claims.expires - claims.issued) == ("bob", {"market", "account", "trade"}, 24 * 3600)


def test_a_revoked_key_is_listed_as_such(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    ids = []
    for _ in range(2):
        main(["key", "create", "alice"])
        ids.append(printed(capsys)["key"])
    for _ in range(2):    # the second time says the same
        assert main(["key", "revoke", ids[0]]) == 0
        assert f"revoke --token-id {ids[0]}" in capsys.readouterr().out
    assert len(key_files.read_keys(config).revoked) == 1
    main(["key", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in lines[1:]] == [(ids[0], "revoked"), (ids[1], "valid")]
    assert all("HMAC-SHA256" in line for line in lines[1:])
    found = authenticator(config)
    assert [found.revocations.refuse(key.claims()) for id in ids if (key := found.api_keys.find(id))] == [True, False]


def test_an_expired_key_is_listed_as_such(config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    main(["key", "create", "alice", "--days", "1"])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 24 * 3600)
    capsys.readouterr()
    main(["key", "list"])
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "expired"


@pytest.mark.parametrize(("arguments", "words"), [
    (["create", ""], "1 to 128"), (["create", "a\nb"], "1 to 128"), (["create", "a" * 129], "1 to 128"), (["create", "alice", "--days", "367"], "at most 366"),
    (["create", "alice", "--ed25519", "no-such-file"], "no-such-file"), (["create", "alice", "--ed25519", __file__], "test_key.py: expected a public key"),
    (["revoke", "nobody"], "there is no key 'nobody'"),
])
def test_what_it_refuses_changes_nothing(arguments: list[str], words: str, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *arguments]) == 2
    assert words in capsys.readouterr().err.replace("\n", " ")
    assert key_files.read_keys(config).keys == {}
