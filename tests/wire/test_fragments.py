"""Whole messages out of frames."""

import pytest

from stream.wire.fragments import FRAGMENTS_MAX, Assembler, Violation, close_code
from stream.wire.framing import BINARY, CLOSE, PING, TEXT

CONTINUATION = 0


def code_of(opcode: int, fin: bool = True, reserved: bool = False, payload: bytes = b"", assembler: Assembler | None = None) -> int:
    with pytest.raises(Violation) as violation:
        (assembler or Assembler(1000)).take(opcode, fin, reserved, payload)
    return violation.value.code


def test_a_single_frame_is_a_message() -> None:
    assert Assembler(10).take(BINARY, True, False, b"abc") == (BINARY, b"abc")


def test_fragments_are_joined_around_a_ping() -> None:
    assembler = Assembler(10)
    assert assembler.take(TEXT, False, False, b"ab") is None
    assert assembler.take(PING, True, False, b"?") == (PING, b"?")
    assert assembler.take(CONTINUATION, False, False, b"c") is None
    assert assembler.take(CONTINUATION, True, False, b"d") == (TEXT, b"abcd")
    assert assembler.take(BINARY, True, False, b"next") == (BINARY, b"next")


def test_a_character_may_be_cut_by_a_fragment() -> None:
    assembler = Assembler(10)
    one, two = "é".encode()[:1], "é".encode()[1:]
    assert assembler.take(TEXT, False, False, one) is None
    assert assembler.take(CONTINUATION, True, False, two) == (TEXT, "é".encode())


def test_the_cap_is_on_the_message_not_on_the_frame() -> None:
    assembler = Assembler(5)
    assembler.take(BINARY, False, False, b"123")
    assert code_of(CONTINUATION, payload=b"456", assembler=assembler) == 1009


def test_empty_fragments_do_not_add_up_for_ever() -> None:
    assembler = Assembler(5)
    assembler.take(BINARY, False, False, b"1")
    for _ in range(FRAGMENTS_MAX - 1):
        assembler.take(CONTINUATION, False, False, b"")
    assert code_of(CONTINUATION, fin=False, assembler=assembler) == 1009


def test_what_breaks_the_protocol() -> None:
    assert code_of(BINARY, reserved=True) == 1002
    assert code_of(CONTINUATION) == 1002
    assert code_of(3) == 1002
    assert code_of(PING, fin=False) == 1002
    assert code_of(CLOSE, payload=b"x" * 126) == 1002
    assert code_of(TEXT, payload=b"\xff") == 1007
    begun = Assembler(10)
    begun.take(TEXT, False, False, b"a")
    assert code_of(TEXT, payload=b"b", assembler=begun) == 1002


def test_close_codes() -> None:
    assert close_code(b"") == 1000
    assert close_code((4001).to_bytes(2) + b"why") == 4001
    for payload in (b"\x03", (999).to_bytes(2), (1005).to_bytes(2), (5000).to_bytes(2)):
        with pytest.raises(Violation):
            close_code(payload)
    with pytest.raises(Violation):
        close_code((1000).to_bytes(2) + b"\xff")
