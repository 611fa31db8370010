"""The OpenAPI document: it is what the structs say, it is valid, and what is answered is what it says."""

import json
import re
from pathlib import Path

import pytest

import stream
from stream.rest.openapi import document, text
from tests.rest.counter import Counter


def test_the_document_is_current() -> None:
    assert (Path(stream.__path__[0]) / "openapi.json").read_text() == text(), "run `make docs`"


def test_it_is_openapi() -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed: `make rest`")
    validator.validate(document(), cls=validator.OpenAPIV31SpecValidator)


def test_it_is_served_with_a_page() -> None:
    counter = Counter()
    assert counter.ask("GET", "/openapi.json") == (200, json.loads(text()))
    for path, type in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        answer = counter.whole("GET", path)
        assert (answer.status, answer.type) == (200, type)
        assert not re.search(b"https?://", answer.body)    # nothing comes from elsewhere
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
