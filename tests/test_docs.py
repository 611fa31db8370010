"""Every block of the documentation does what it says, and the site is built without a warning."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.documents import ROOT, Reader, blocks_of

DOCS = ROOT / "stream" / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "stream" / "cluster" / "README.md", ROOT / "tests" / "vectors" / "README.md", *sorted(DOCS.rglob("*.md"))]


def read(path: Path, folder: Path) -> set[str]:
    """Do what a document says; what could not be done here."""
    reader = Reader(folder)
    try:
        reader.read(path)
    finally:
        reader.close()
    return reader.skipped


@pytest.fixture(scope="module")
def readings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Future[set[str]]]]:
    """A reader for each document that is asked for, as many at a time as there are processors."""
    asked = [item for item in request.session.items if isinstance(item, pytest.Function) and "readings" in item.fixturenames]
    paths = [path for item in asked if isinstance(path := item.callspec.params["document"], Path)]
    with ThreadPoolExecutor(os.cpu_count()) as readers:
        yield {path: readers.submit(read, path, tmp_path_factory.mktemp("reader")) for path in paths}


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if "\n```" in path.read_text()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_does_what_it_says(document: Path, readings: dict[Path, Future[set[str]]]) -> None:
    if skipped := readings[document].result():
        pytest.skip(", ".join(skipped))


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_no_code_stands_outside_of_a_block(path: Path) -> None:
    inside = {number for block in blocks_of(path) for number in range(block.line, block.line + block.text.count("\n") + 1)}
    lines = enumerate(path.read_text().splitlines(), 1)
    assert [line for number, line in lines if line.startswith(("    ", "\t")) and number not in inside] == []


@pytest.mark.skipif(find_spec("sphinx") is None, reason="sphinx is not installed: `make site` installs it")
def test_the_site_is_built_without_a_warning_and_asks_nobody_else(tmp_path: Path) -> None:
    build = ["--fail-on-warning", "--keep-going", "--quiet", "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "site")]
    done = subprocess.run([sys.executable, "-m", "sphinx", *build], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for file in (tmp_path / "site").rglob("*.*"):
        if file.suffix in {".html", ".css"}:
            assert re.findall(r"""(?:\bsrc=["']|<link[^>]*\bhref=["']|@import\s*["']?|url\(["']?)(?:https?:)?//[^"')>]*""", file.read_text()) == [], file.name
