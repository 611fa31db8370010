"""The written references are what the structs say."""

from pathlib import Path

import stream
from stream.client import live
from stream.client.error_table import EXCEPTIONS, EXPECTED, errors, halves
from stream.settings.configuration import configuration
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.reference import reference

FOLDER = Path(stream.__path__[0])


def test_the_reference_of_the_wire_is_current() -> None:
    assert (FOLDER / "PROTOCOL.md").read_text() == reference(), "run `make docs`"


def test_the_reference_of_the_settings_is_current() -> None:
    assert (FOLDER / "CONFIGURATION.md").read_text() == configuration(), "run `make docs`"


def test_the_table_of_errors_is_current() -> None:
    assert (FOLDER / "ERRORS.md").read_text() == errors(), "run `make docs`"


def test_the_table_of_errors_is_whole() -> None:
    """Each code says what happened, what was expected and what to do; and so does whatever the client raises."""
    assert EXPECTED.keys() == {*ErrorCode, *CloseCode}
    for code, (expected, to_do) in EXPECTED.items():
        when, rest = halves(code)
        assert when
        assert expected
        assert to_do or rest, f"{code.name}: what is to be done?"
    raised = {kind for kind in vars(live).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert raised <= EXCEPTIONS.keys()
