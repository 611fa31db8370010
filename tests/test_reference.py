"""The written reference is what the structs say."""

from pathlib import Path

import stream
from stream.reference import reference


def test_the_reference_is_current() -> None:
    assert (Path(stream.__path__[0]) / "PROTOCOL.md").read_text() == reference(), "run `make docs`"
