"""Every block of the documentation does what it says, and the site is built without a warning."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, Reader, blocks_of

DOCS = ROOT / "stream" / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "stream" / "cluster" / "README.md", ROOT / "tests" / "vectors" / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if "\n```" in path.read_text()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_does_what_it_says(path: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    try:
        reader.read(path)
    finally:
        reader.close()
    if reader.skipped:
        pytest.skip(", ".join(reader.skipped))


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
