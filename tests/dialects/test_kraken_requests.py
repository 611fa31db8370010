"""The requests over HTTP of Kraken's dialect, and the tokens that it gives out."""

from base64 import b64encode
from email.utils import parsedate_to_datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as some

from stream.access.api_keys import RequestRefused
from stream.access.revocations import Revocation
from tests.dialects.kraken_market import TOKENS, KrakenMarket
from tests.dialects.traders import LIFETIME_S, make_key

SECOND = 10**9


@pytest.fixture
def kraken() -> KrakenMarket:
    return KrakenMarket()


def test_public_requests(kraken: KrakenMarket) -> None:
    seconds = kraken.market.now // SECOND
    time = kraken.get("Time")
    assert (time["unixtime"], parsedate_to_datetime(time["rfc1123"]).timestamp()) == (seconds, seconds)
    assert kraken.get("SystemStatus")["status"] == "online"
    assert kraken.get("Assets").keys() == {"BTC", "USD", "ETH"}
    assert kraken.get("Assets")["USD"] == {"aclass": "currency", "altname": "USD", "decimals": 6, "display_decimals": 5, "status": "enabled"}


def test_pairs_are_told_by_the_names_that_they_are_asked_for(kraken: KrakenMarket) -> None:
    assert kraken.get("AssetPairs").keys() == {"BTC/USD", "ETH/USD"}
    assert kraken.get("AssetPairs", "pair=BTC/USD,ETHUSD").keys() == {"BTC/USD", "ETHUSD"}
    pair = kraken.get("AssetPairs", "pair=BTC%2FUSD")["BTC/USD"]
    assert {name: pair[name] for name in ("wsname", "altname", "pair_decimals", "lot_decimals", "ordermin", "tick_size", "status")} == {
        "wsname": "BTC/USD", "altname": "BTCUSD", "pair_decimals": 2, "lot_decimals": 4, "ordermin": "0.0001", "tick_size": "0.01", "status": "online",
    }
    assert [[size, str(percent)] for size, percent in pair["fees"] + pair["fees_maker"]] == [[0, "0.0300"], [0, "0.0100"]]
    assert msgspec.json.decode(kraken.answer("GET", "/0/public/AssetPairs", "pair=XBTUSD").body) == {"error": ["EQuery:Unknown asset pair"]}


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/"), ("GET", "/0/public/Nothing"), ("GET", TOKENS), ("POST", "/0/private/AddOrder"), ("GET", "/v2"),
])
def test_what_is_not_served(kraken: KrakenMarket, method: str, path: str) -> None:
    assert msgspec.json.decode(kraken.answer(method, path).body) == {"error": ["EGeneral:Unknown method"]}


def test_another_path_of_a_websocket_is_refused(kraken: KrakenMarket) -> None:
    answer = kraken.dialect.open("/v1", "", None, kraken.market.now, "")    # type: ignore[arg-type]
    assert getattr(answer, "status", None) == 404


def test_the_weight_of_an_address() -> None:
    kraken = KrakenMarket(dialect_weight_per_minute=2)
    kraken.get("Time")
    kraken.get("Time")
    answer = kraken.answer("GET", "/0/public/Time")
    assert msgspec.json.decode(answer.body) == {"error": ["EAPI:Rate limit exceeded"]}
    assert int(answer.headers["Retry-After"]) > 0


def test_a_token_opens_level3_for_15_minutes_and_the_channel_stays_open(kraken: KrakenMarket) -> None:
    token, client = kraken.token(), kraken.client()
    client.subscribe("level3", token=token)
    kraken.market.now += 899 * SECOND
    kraken.client().subscribe("level3", token=token)
    kraken.market.now += SECOND
    [refused] = kraken.client().ask("subscribe", channel="level3", symbol=["BTC/USD"], token=token)
    assert refused["error"] == "Token(s) not found"
    kraken.place("buy", 100, 1)
    assert client.hear()[0]["type"] == "update"


def test_another_process_with_the_same_master_key_takes_a_token(kraken: KrakenMarket) -> None:
    other = KrakenMarket()
    token = kraken.token()
    other.add(kraken.keys["carol"])
    other.client().subscribe("level3", token=token)


@pytest.mark.parametrize("alter", [
    lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"), lambda token: "x" + token, lambda token: token.replace(".", ".9", 1),
    lambda token: "", lambda token: "..", lambda token: "\u00e9.1.2",
])
def test_a_token_cannot_be_altered(kraken: KrakenMarket, alter: object) -> None:
    token = kraken.token()
    [refused] = kraken.client().ask("subscribe", channel="level3", symbol=["BTC/USD"], token=alter(token))    # type: ignore[operator]
    assert refused["error"] == "Token(s) not found"


def test_a_request_for_a_token_is_checked(kraken: KrakenMarket) -> None:
    key = kraken.add(make_key("carol", kraken.market.now, id="carol"))
    assert kraken.signed(key, "nonce=100")["error"] == []
    assert kraken.signed(key, '{"nonce": 101}', nonce="101") == {"error": ["EAPI:Invalid nonce"]}    # as a form it has none
    assert kraken.signed(key, "nonce=100") == {"error": ["EAPI:Invalid nonce"]}    # it was sent before
    assert kraken.signed(key, "nonce=99") == {"error": ["EAPI:Invalid nonce"]}
    for body in ("", "nonce=", "nonce=x", "nonce=-1", "nonce=1.5", f"nonce={1 << 64}", "nonce=\u0663"):
        assert kraken.signed(key, body) == {"error": ["EAPI:Invalid nonce"]}
    assert kraken.signed(key, "nonce=102", secret="A" * 64) == {"error": ["EAPI:Invalid signature"]}
    assert kraken.signed(key, "nonce=102", nonce="103") == {"error": ["EAPI:Invalid signature"]}
    assert kraken.signed(make_key("carol", kraken.market.now, id="nobody"), "nonce=1") == {"error": ["EAPI:Invalid key"]}
    assert kraken.signed(key, "nonce=102&otp=1", nonce="102")["error"] == []    # a refused nonce counts for nothing


def test_the_body_may_be_json(kraken: KrakenMarket) -> None:
    kraken.add(make_key("carol", kraken.market.now, id="carol"))
    for body, error in (('{"nonce": "1"}', "EAPI:Invalid signature"), ("{", "EAPI:Bad request"), ("[]", "EAPI:Bad request"), ("{}", "EAPI:Invalid nonce")):
        answer = kraken.answer("POST", TOKENS, "", body, api_key="carol", api_sign="x", content_type="application/json; charset=utf-8")
        assert msgspec.json.decode(answer.body) == {"error": [error]}


def test_a_key_that_is_good_no_longer_has_no_token_and_its_token_opens_nothing(kraken: KrakenMarket) -> None:
    key = kraken.add(make_key("carol", kraken.market.now, id="carol"))
    token = kraken.token()
    kraken.market.authenticator.revocations.add(Revocation(kraken.market.now // SECOND, token_id="carol"))
    assert kraken.signed(key, "nonce=100") == {"error": ["EAPI:Invalid key"]}
    [refused] = kraken.client().ask("subscribe", channel="level3", symbol=["BTC/USD"], token=token)
    assert refused["error"] == "Token(s) not found"
    other = kraken.add(make_key("dave", kraken.market.now, id="dave"))
    kraken.market.now += LIFETIME_S * SECOND
    assert kraken.signed(other, "nonce=1") == {"error": ["EAPI:Invalid key"]}


def test_without_a_master_key_there_are_no_tokens(kraken: KrakenMarket) -> None:
    public = b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    key = make_key("carol", kraken.market.now, ed25519=public, id="carol")
    keys = kraken.market.authenticator.api_keys
    keys.take({"carol": key}, b"")
    assert kraken.signed(key, "nonce=1", secret="A" * 64) == {"error": ["EAPI:Invalid signature"]}    # of a key that has no secret
    with pytest.raises(RequestRefused, match="master key"):
        keys.seal("carol.99999999999")
    [refused] = kraken.client().ask("subscribe", channel="level3", symbol=["BTC/USD"], token="carol.99999999999." + "0" * 64)
    assert refused["error"] == "Token(s) not found"


@given(some.text(), some.text(), some.text(), some.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]))
def test_any_request_is_answered(body: str, key: str, sign: str, content_type: str) -> None:
    kraken = KrakenMarket()
    for path in (TOKENS, "/0/public/AssetPairs"):
        assert b"error" in kraken.answer("POST", path, body, body, api_key=key, api_sign=sign, content_type=content_type).body
