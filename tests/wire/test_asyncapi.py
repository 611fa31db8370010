"""The AsyncAPI document: it is what the structs say, holds together, and describes what servers really send."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

import stream
from stream.wire.asyncapi import REF, REPLIES, document, text
from stream.wire.messages import Confirmed, Place, Request
from tests.account_history.recorded import RecordedMarket, ask
from tests.setting import token
from tests.wire.test_vectors import CHANNELS, STORED
from tests.worlds import BOOK, Desk

STEPS = [step for vector in [*CHANNELS, *STORED["connection.json"], *STORED["candles.json"]] for step in vector["steps"]]


def test_the_document_is_current() -> None:
    assert (Path(stream.__path__[0]) / "asyncapi.json").read_text() == text(), "run `make docs`"


def references(part: Any) -> set[str]:
    """All that is referred to."""
    if isinstance(part, list):
        return set().union(*map(references, part))
    if isinstance(part, dict):
        return {part["$ref"]} if isinstance(part.get("$ref"), str) else set().union(*map(references, part.values()))
    return set()


def test_every_reference_leads_somewhere() -> None:
    whole = document()
    found = references(whole)
    assert len(found) > 100
    for reference in found:
        at = whole
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]
        assert at


def test_every_element_has_the_name_of_its_field() -> None:
    schemas = document()["components"]["schemas"]
    assert [element.get("title") for element in schemas["Trade"]["items"]] == ["seq", "time", "price", "size", "side"]
    assert [element.get("title") for element in schemas["Ping"]["items"]] == [None, "id"]
    assert schemas["Ping"]["additionalItems"] is False


def test_requests_are_answered_as_the_document_says(tmp_path: Path) -> None:
    """Each request once, as somebody who may do everything."""
    market = RecordedMarket(tmp_path / "history")
    desk = Desk(market).sign_in("alice", "market account trade admin")
    placed: list[int] = [desk.ask(Place, "BTC-USD", "buy", price, 5)[0].order for price in (100, 101, 102)]
    fields: dict[str, tuple[Any, ...]] = {
        "login": (token("alice", market.now, "market account trade admin"),), "subscribe": ([BOOK],), "unsubscribe": ([BOOK],), "candles": ("BTC-USD", "1m"),
        "place": ("BTC-USD", "buy", 99, 1), "cancel": (placed[0],), "reduce": (placed[1], 1), "replace": (placed[2], 98, 5), "queue_position": (placed[1],),
        "cancel_on_disconnect": ("connection",), "dead_man": (1000,), "set_phase": ("BTC-USD", "trading"), "set_limits": ("alice",),
        "mass_cancel": (), "freeze": ("alice", False), "deposit": ("alice", "USD", 1), "withdraw": ("alice", "USD", 1), "pay_fees": ("alice", "USD", 1),
        "set_fees": ("BTC-USD", 0, 0, 0), "set_tier": ("alice", 0),
        "list_instrument": ("BTC-ETH", "BTC", "ETH", "0.01", "0.0001"), "delist": ("ETH-USD",), "set_band": ("BTC-USD", 0), "set_reference": ("BTC-USD", 0),
        "disconnect": ("bob",), "revoke": ("bob",),
    }
    desk.ask(Place, "BTC-USD", "buy", 103, 10**4)
    Desk(market).sign_in("bob").ask(Place, "BTC-USD", "sell", 103, 10**4)    # so that there are fees
    desk.hear()
    for kind in sorted(get_args(Request), key=lambda kind: kind.__name__ == "Logout"):
        if kind.__name__ != "Login":
            answer = ask(market, desk, kind, *fields.get(kind.__struct_config__.tag, ()))
            assert type(answer) is REPLIES.get(kind, Confirmed), (kind, answer)
    market.close()


@pytest.mark.parametrize("tag", sorted({json.loads(step["json"])[0] for step in STEPS}))
def test_what_a_server_sends_is_what_the_document_says(tag: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    whole = document()
    name = whole["components"]["messages"][tag]["payload"]["$ref"].rpartition("/")[2]
    validator = jsonschema.Draft7Validator({"$ref": REF.format(name=name), "components": whole["components"]})
    sent = [json.loads(step["json"]) for step in STEPS if json.loads(step["json"])[0] == tag]
    for each in sent:
        validator.validate(each)
        assert not validator.is_valid([*each, "more"])
        assert not validator.is_valid([tag, *each[2:]])
