"""Every block of the documentation does what it says, and the site is built without a warning."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.documents import REDIS, ROOT, Reader
from tests.redis_servers import MISSING

DOCS = ROOT / "stream" / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "stream" / "cluster" / "README.md", ROOT / "tests" / "vectors" / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if "\n```" in path.read_text()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_does_what_it_says(path: Path, tmp_path: Path) -> None:
    if REDIS in path.read_text() and MISSING:
        pytest.skip("redis-server is not installed")
    reader = Reader(tmp_path)
    try:
        reader.read(path)
    finally:
        reader.close()
    if reader.skipped:
        pytest.skip(", ".join(reader.skipped))


@pytest.mark.skipif(find_spec("sphinx") is None, reason="sphinx is not installed: `make site` installs it")
def test_the_site_is_built_without_a_warning_and_asks_nobody_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "site")]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
