"""The written references are what the structs say."""

from pathlib import Path

import stream
from stream.configuration import configuration
from stream.reference import reference

FOLDER = Path(stream.__path__[0])


def test_the_reference_of_the_wire_is_current() -> None:
    assert (FOLDER / "PROTOCOL.md").read_text() == reference(), "run `make docs`"


def test_the_reference_of_the_settings_is_current() -> None:
    assert (FOLDER / "CONFIGURATION.md").read_text() == configuration(), "run `make docs`"
