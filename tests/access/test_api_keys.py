"""Nobody signs for another: each scheme, each way to get it wrong, and what the file of keys gives away."""

import hashlib
import hmac
import stat
from base64 import b64encode
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from hypothesis import given
from hypothesis import strategies as st

from stream.access import key_files
from stream.access.api_keys import (
    API_KEYS_MAX,
    ApiKey,
    ApiKeys,
    Cause,
    RequestRefused,
    RevokedKey,
    as_line,
    public_key_in,
    read_lines,
    secret_of,
)
from stream.access.auth import Authenticator
from stream.access.revocations import Revocation
from stream.settings.config import Config, ConfigError

NOW = 1_700_000_000
MASTER = b"a master key that is long enough to be one"
PRIVATE = ed25519.Ed25519PrivateKey.generate()
PUBLIC = b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
BY_HMAC = ApiKey("h", "alice", ("account", "trade"), NOW - 10, NOW + 1000)
BY_ED25519 = ApiKey("e", "bob", ("market",), NOW - 10, NOW + 1000, PUBLIC)
SCHEMES = [BY_HMAC, BY_ED25519]


def keys(*used: ApiKey, master: bytes = MASTER) -> ApiKeys:
    found = ApiKeys(Config())
    found.take({key.id: key for key in used or SCHEMES}, master)
    return found


def signature(key: ApiKey, signed: bytes) -> str:
    """What the owner of a key sends, by means of the standard library and of the private key."""
    if key.ed25519:
        return b64encode(PRIVATE.sign(signed)).decode()
    return hmac.new(secret_of(key, MASTER).encode(), signed, hashlib.sha256).hexdigest()


def refused(id: str, signed: bytes, given: str, at: float = NOW, found: ApiKeys | None = None) -> Cause:
    with pytest.raises(RequestRefused) as refusal:
        (found or keys()).verify(id, signed, given, at)
    assert len(given) < 8 or given not in str(refusal.value)
    return refusal.value.cause


def pem(public: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("key", SCHEMES)
@given(signed=st.binary(max_size=200))
def test_what_its_owner_signs_is_taken_and_says_who_and_what(key: ApiKey, signed: bytes) -> None:
    claims, given = keys().verify(key.id, signed, signature(key, signed), NOW)
    assert claims == (key.subject, frozenset(key.scopes), key.expires, key.created, key.id)
    assert len(given) == (64 if key.ed25519 else 32)


@pytest.mark.parametrize("key", SCHEMES)
@given(signed=st.binary(min_size=1, max_size=100), data=st.data())
def test_a_flipped_bit_of_the_request_or_of_the_signature_is_refused(key: ApiKey, signed: bytes, data: st.DataObject) -> None:
    good, found = signature(key, signed), keys()
    bit = data.draw(st.integers(0, 8 * len(signed) - 1))
    changed = bytearray(signed)
    changed[bit // 8] ^= 1 << bit % 8
    assert refused(key.id, bytes(changed), good, found=found) is Cause.SIGNATURE
    raw = found.verify(key.id, signed, good, NOW)[1]
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    forged = bytearray(raw)
    forged[bit // 8] ^= 1 << bit % 8
    assert refused(key.id, signed, b64encode(forged).decode() if key.ed25519 else forged.hex(), found=found) is Cause.SIGNATURE


@pytest.mark.parametrize("key", SCHEMES)
def test_a_signature_of_another_key_length_or_encoding_is_refused(key: ApiKey) -> None:
    signed, found = b"symbol=BTCUSDT&timestamp=1", keys()
    good = signature(key, signed)
    raw = found.verify(key.id, signed, good, NOW)[1]
    others = [signature(other, signed) for other in SCHEMES if other is not key]
    spaced = f"{good[:2]} {good[2:]}"
    for wrong in [
        *others, "", good[:-1], good[1:], good + "0", good + "=", good + "\n", " " + good, spaced, good[:-2] + "zz", good[:-1] + "\0", good[:-1] + "é",
        raw.hex() if key.ed25519 else b64encode(raw).decode(), "0" * len(good), "=" * len(good), "A" * 86 + "==",
    ]:
        assert refused(key.id, signed, wrong, found=found) is Cause.SIGNATURE, wrong
    assert refused(key.id, signed + b" ", good, found=found) is Cause.SIGNATURE


def test_hexadecimal_digits_may_be_in_upper_case() -> None:
    assert keys().verify("h", b"x", signature(BY_HMAC, b"x").upper(), NOW)


def test_a_key_of_another_name_is_refused() -> None:
    other = msgspec.structs.replace(BY_HMAC, id="h2")
    found = keys(BY_HMAC, other)
    assert found.verify("h2", b"x", signature(other, b"x"), NOW)
    assert refused("h2", b"x", signature(BY_HMAC, b"x"), found=found) is Cause.SIGNATURE
    assert refused("nobody", b"x", signature(BY_HMAC, b"x"), found=found) is Cause.KEY
    assert refused("", b"x", signature(BY_HMAC, b"x"), found=found) is Cause.KEY


@pytest.mark.parametrize("key", SCHEMES)
def test_a_key_ends_to_the_second(key: ApiKey) -> None:
    good = signature(key, b"x")
    assert keys().verify(key.id, b"x", good, key.expires - 0.001)
    assert refused(key.id, b"x", good, key.expires) is Cause.KEY


@pytest.mark.parametrize("changes", [{"subject": "root"}, {"scopes": ("account", "admin", "trade")}, {"expires": NOW + 9000}, {"created": NOW}])
def test_an_edited_line_of_the_file_makes_the_secret_worthless(changes: dict[str, object]) -> None:
    """Whoever can write the file but does not have the master key cannot raise the rights of a key for HMAC-SHA256."""
    edited = msgspec.structs.replace(BY_HMAC, **changes)
    assert refused("h", b"x", signature(BY_HMAC, b"x"), found=keys(edited)) is Cause.SIGNATURE


def test_another_master_key_ends_all_keys_for_hmac_and_no_other() -> None:
    found = keys(master=MASTER + b"!")
    assert refused("h", b"x", signature(BY_HMAC, b"x"), found=found) is Cause.SIGNATURE
    assert found.verify("e", b"x", signature(BY_ED25519, b"x"), NOW)


def test_what_cannot_be_used_changes_nothing() -> None:
    found = keys()
    for bad, master in (
        (BY_HMAC, b""), (BY_HMAC, b"x" * 31),
        (msgspec.structs.replace(BY_ED25519, ed25519="AAAA"), MASTER), (msgspec.structs.replace(BY_ED25519, ed25519="*"), MASTER),
        (msgspec.structs.replace(BY_HMAC, expires=BY_HMAC.created + Config().api_key_lifetime_s_max + 1), MASTER),
    ):
        with pytest.raises(ConfigError, match=f"key {bad.id}"):
            found.take({bad.id: bad}, master)
        assert found.verify("h", b"x", signature(BY_HMAC, b"x"), NOW)
    longest = msgspec.structs.replace(BY_HMAC, expires=BY_HMAC.created + Config().api_key_lifetime_s_max)
    found.take({"h": longest}, MASTER)
    assert found.verify("h", b"x", signature(longest, b"x"), NOW)
    assert len(found) == 1
    assert found.find("e") is None


@pytest.mark.parametrize("revocation", [Revocation(NOW, token_id="h"), Revocation(NOW, subject="alice")])
def test_a_revoked_key_is_refused_and_no_other(revocation: Revocation) -> None:
    authenticator = Authenticator([], Config())
    authenticator.api_keys.take({key.id: key for key in SCHEMES}, MASTER)
    authenticator.verify_request("h", b"x", signature(BY_HMAC, b"x"), NOW)
    authenticator.revocations.add(revocation)
    with pytest.raises(RequestRefused, match="revoked") as refusal:
        authenticator.verify_request("h", b"x", signature(BY_HMAC, b"x"), NOW)
    assert refusal.value.cause is Cause.KEY
    authenticator.verify_request("e", b"x", signature(BY_ED25519, b"x"), NOW)
    authenticator.revocations.forget(BY_HMAC.expires)    # not while the key would be good
    with pytest.raises(RequestRefused, match="revoked"):
        authenticator.verify_request("h", b"x", signature(BY_HMAC, b"x"), BY_HMAC.expires - 1)


# The files


@given(st.lists(st.builds(
    ApiKey, st.from_regex("[0-9A-Za-z_-]{1,40}", fullmatch=True), st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable()),
    st.lists(st.sampled_from(["market", "trade"])).map(tuple), st.integers(0, 1 << 39), st.integers(0, 1 << 39), st.sampled_from(["", PUBLIC]),
), unique_by=lambda key: key.id))
def test_what_is_written_is_read(made: list[ApiKey]) -> None:
    gone = [RevokedKey(key.id, NOW) for key in made[::2]]
    found = read_lines(b"\n".join(map(as_line, [*made, *gone])))
    assert list(found.keys.values()) == made
    assert found.revoked == [Revocation(NOW, token_id=each.id) for each in gone]


@pytest.mark.parametrize("line", [
    b"nonsense", b"{}", b'{"is": "key", "id": "x"}', b"\xff", as_line(BY_HMAC)[:-2] + b', "extra": 1}', as_line(BY_HMAC).replace(b'"alice"', b'""'),
    as_line(BY_HMAC).replace(b'"h"', b'"a b"'), as_line(BY_HMAC).replace(b"trade", b"everything"), as_line(BY_ED25519), b'{"is": "revoked", "id": "", "at": 1}',
])
def test_a_line_that_cannot_be_read_is_named(line: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^line 3: "):
        read_lines(as_line(BY_ED25519) + b"\n" + line)


def test_a_file_has_so_many_keys_and_no_more() -> None:
    lines = [as_line(msgspec.structs.replace(BY_HMAC, id=str(number))) for number in range(API_KEYS_MAX + 1)]
    assert len(read_lines(b"".join(lines[:-1])).keys) == API_KEYS_MAX
    with pytest.raises(ConfigError, match="at most"):
        read_lines(b"".join(lines))


def config_in(folder: Path) -> Config:
    return Config(api_keys=str(folder / "deep" / "keys.jsonl"), api_keys_master=str(folder / "deep" / "master"))


def test_only_their_owner_may_read_the_files(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    master = key_files.make_master(config)
    assert key_files.make_master(config) == master == key_files.read_master(config)
    key_files.add(config, BY_HMAC)
    for path in (Path(config.api_keys), Path(config.api_keys_master)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = Path(config.api_keys).read_bytes()
    assert secret_of(BY_HMAC, master).encode() not in written
    assert master not in written
    for mode, good in ((0o400, True), (0o640, True), (0o604, False), (0o602, False), (0o666, False)):
        Path(config.api_keys_master).chmod(mode)
        if good:
            assert key_files.read_master(config) == master
        else:
            with pytest.raises(ConfigError, match="others may read"):
                key_files.read_master(config)


def test_lines_are_added_whole_even_behind_one_that_lacks_its_end(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    key_files.add(config, BY_HMAC)
    path = Path(config.api_keys)
    path.write_bytes(path.read_bytes().rstrip())
    key_files.add(config, BY_ED25519)
    key_files.add(config, RevokedKey("h", NOW))
    found = key_files.read_keys(config)
    assert list(found.keys.values()) == SCHEMES
    assert found.revoked == [Revocation(NOW, token_id="h")]


def test_files_that_are_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    nowhere = Config(api_keys="", api_keys_master="")
    for empty in (config, nowhere):
        assert key_files.read_keys(empty) == ({}, [])
        assert key_files.read_master(empty) == b""
    with pytest.raises(ConfigError, match="api_keys"):
        key_files.add(nowhere, BY_HMAC)
    with pytest.raises(ConfigError, match="api_keys_master"):
        key_files.make_master(nowhere)
    for name in ("keys.jsonl", "master"):
        (tmp_path / "deep" / name).mkdir(parents=True, mode=0o700)
    for ask in (key_files.read_keys, key_files.read_master, key_files.make_master, lambda config: key_files.add(config, BY_HMAC)):
        with pytest.raises(ConfigError, match="deep"):
            ask(config)
    short = msgspec.structs.replace(config, api_keys_master=str(tmp_path / "short"))
    (tmp_path / "short").write_text("short")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(ConfigError, match="at least 32"):
        key_files.read_master(short)


def test_only_a_public_key_for_ed25519_is_one() -> None:
    assert public_key_in(pem(PRIVATE.public_key())) == PRIVATE.public_key()
    private = PRIVATE.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for bad, said in ((private, "private key"), (pem(ed448.Ed448PrivateKey.generate().public_key()), "another algorithm"), (b"", "PEM"), (b"\xff" * 50, "PEM")):
        with pytest.raises(ConfigError, match=said):
            public_key_in(bad)
