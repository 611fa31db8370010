"""Generates the AsyncAPI 3 document of the protocol from the structs that define it: `python -m stream.wire.asyncapi`."""

import inspect
import json
from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from stream.wire import administration, candles, frames, history, messages, queue_position
from stream.wire.administration import AdminRequest, ListConnections, ListSchedule, MassCancel, PhaseChanges
from stream.wire.candles import CandlePage, ListCandles
from stream.wire.fields import Message
from stream.wire.history import HistoryRequest, ListOrders, ListTrades, OrderPage, TradePage
from stream.wire.messages import (
    AllCancelled,
    Answer,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    Confirmed,
    Connections,
    DeadMan,
    Done,
    Error,
    Instruments,
    ListInstruments,
    ListSubscriptions,
    LoggedIn,
    Login,
    Logout,
    Ping,
    Place,
    Pong,
    Reduce,
    Replace,
    Reply,
    Request,
    Subscribe,
    Subscribed,
    Subscriptions,
    Unsubscribe,
    Unsubscribed,
)
from stream.wire.queue_position import AskQueuePosition, QueuePosition

DESCRIPTION = """The messages of a deltabook server. It has one WebSocket at `/v1`, with the subprotocol `deltabook.v1.json` (text messages, as described here)
or `deltabook.v1.msgpack` (binary messages, the same arrays in MessagePack; the default). Every message is an array, and its first element is its tag.
PROTOCOL.md says what a client does with a frame, how the digest is computed, and what the error numbers and close codes mean. Some numbers are larger
than 2^53."""

REPLIES: dict[type[Message], type[Message]] = {
    Login: LoggedIn, Subscribe: Subscribed, Unsubscribe: Unsubscribed, ListSubscriptions: Subscriptions, ListInstruments: Instruments, ListCandles: CandlePage,
    Ping: Pong, Place: Done, Cancel: Done, Reduce: Done, Replace: Done, CancelAll: AllCancelled, MassCancel: AllCancelled,
    ListConnections: Connections, ListSchedule: PhaseChanges, ListOrders: OrderPage, ListTrades: TradePage, AskQueuePosition: QueuePosition,
}
"""The reply to each request, if it is not an `error`. All other requests are answered by `confirmed`."""

SIGNED = (Place, Cancel, Reduce, Replace, CancelAll, CancelOnDisconnect, DeadMan, Logout, *get_args(HistoryRequest), AskQueuePosition, *get_args(AdminRequest))
"""Requests that need a token."""

REF = "#/components/schemas/{name}"


def tag_of(kind: type[Message]) -> str:
    """A message's tag."""
    return str(kind.__struct_config__.tag)


def draft_7(schema: Any) -> Any:
    """A schema in JSON Schema draft 7, which AsyncAPI uses. In that draft, `items` may be a list: the elements of a tuple."""
    if isinstance(schema, list):
        return [draft_7(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: draft_7(value) for key, value in schema.items() if key not in ("prefixItems", "items")}
    if "prefixItems" in schema:
        return changed | {"items": draft_7(schema["prefixItems"]), "additionalItems": False}
    return changed | ({"items": draft_7(schema["items"])} if "items" in schema else {})


def schemas(kinds: Iterable[Any]) -> dict[str, Any]:
    """The schemas of messages and of their parts. Each element has the name of its field as its title."""
    kinds_by_name = vars(frames) | vars(history) | vars(queue_position) | vars(candles) | vars(administration) | vars(messages)
    _, found = msgspec.json.schema_components(kinds, ref_template=REF)
    for name, schema in found.items():
        fields = [field.name for field in msgspec.structs.fields(kinds_by_name[name])]
        for field, element in zip(reversed(fields), reversed(schema["prefixItems"]), strict=False):    # the tag is ahead of them
            element["title"] = field
        if "description" in schema:    # a docstring; only newer versions of msgspec remove its indentation
            schema["description"] = inspect.cleandoc(schema["description"])
    return {name: draft_7(found[name]) for name in sorted(found)}


def message(kind: type[Message]) -> dict[str, Any]:
    """A message and the reference to its schema."""
    return {
        "name": tag_of(kind),
        "title": kind.__name__,
        "summary": inspect.cleandoc(kind.__doc__ or "").partition("\n")[0],
        "payload": {"$ref": REF.format(name=kind.__name__)},
    }


def on_channel(kind: type[Message]) -> dict[str, str]:
    """A reference to a message of the only channel."""
    return {"$ref": f"#/channels/v1/messages/{tag_of(kind)}"}


def operation(action: str, kind: type[Message]) -> dict[str, Any]:
    """An operation: the server sends or receives a message, and replies to what it receives."""
    found: dict[str, Any] = {"action": action, "channel": {"$ref": "#/channels/v1"}, "messages": [on_channel(kind)]}
    if action == "receive":
        found["reply"] = {"channel": {"$ref": "#/channels/v1"}, "messages": [on_channel(REPLIES.get(kind, Confirmed)), on_channel(Error)]}
        if kind in SIGNED:
            found["security"] = [{"$ref": "#/components/securitySchemes/token"}]
    return found


def document() -> dict[str, Any]:
    """The whole document."""
    requests, answers = get_args(Request), get_args(Answer)
    told = [kind for kind in answers if kind not in get_args(Reply)]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "deltabook", "version": "1", "description": DESCRIPTION.replace("\n", " "), "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "servers": {"local": {"host": "127.0.0.1:8080", "protocol": "ws", "description": "What `make run` serves."}},
        "channels": {
            "v1": {
                "address": "/v1",
                "title": "The WebSocket",
                "messages": {tag_of(kind): {"$ref": f"#/components/messages/{tag_of(kind)}"} for kind in (*requests, *answers)},
            },
        },
        "operations": {f"receive_{tag_of(kind)}": operation("receive", kind) for kind in requests}
        | {f"send_{tag_of(kind)}": operation("send", kind) for kind in told},
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The token is sent in the `Authorization` header of the handshake, or in a `login` message.",
                },
            },
            "messages": {tag_of(kind): message(kind) for kind in (*requests, *answers)},
            "schemas": schemas((*requests, *answers)),
        },
    }


def text() -> str:
    """The document as it is stored."""
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
