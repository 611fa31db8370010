"""The terms of all instruments, encoded for clients. They are long, so they are encoded only once, until one of them changes."""

from typing import cast

import msgspec

from stream.wire.codec import Codec
from stream.wire.messages import Instruments, InstrumentTerms


class InstrumentList:
    """Remembers the terms of the latest answer, and their encoding for each subprotocol."""

    def __init__(self) -> None:
        self._terms: list[InstrumentTerms] = []
        self._encoded: dict[str, msgspec.Raw] = {}

    def answer(self, id: int, terms: list[InstrumentTerms], codec: Codec) -> bytes:
        """The frame that answers a request for these terms. It is cheapest if unchanged terms are the same objects as in the last answer."""
        if terms != self._terms:
            self._terms, self._encoded = terms, {}
        encoded = self._encoded.get(codec.subprotocol)
        if encoded is None:
            encoded = self._encoded[codec.subprotocol] = msgspec.Raw(codec.encode(terms))
        return codec.frame(Instruments(id, cast(list[InstrumentTerms], encoded)))
