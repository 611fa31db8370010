"""Who may read a journal: its owner and the owner's group, whatever the umask is."""

import os
from pathlib import Path

import pytest

from stream.journal.files import Disk
from stream.journal.writer import JournalOptions
from stream.market.journal_repair import repair
from tests.setting import CONFIG
from tests.sockets import run, serving

UMASKS = {0o000: (0o750, 0o640), 0o002: (0o750, 0o640), 0o022: (0o750, 0o640), 0o027: (0o750, 0o640), 0o077: (0o700, 0o600)}


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_a_journal_is_not_for_everybody(umask: int, tmp_path: Path) -> None:
    journal = tmp_path / "data" / "deep" / "journal"

    @run
    async def scene() -> None:
        before = os.umask(umask)
        try:
            for _ in range(2):
                async with serving(CONFIG, journal=str(journal)):
                    pass
            repair(Disk(), str(journal), str(tmp_path / "copy"), JournalOptions(1 << 16, reserve_bytes=0), 1, 1)
        finally:
            os.umask(before)

    scene()
    folder_mode, file_mode = UMASKS[umask]
    found = [*(tmp_path / "data").rglob("*"), tmp_path / "data", *(tmp_path / "copy").rglob("*"), tmp_path / "copy"]
    assert {path.suffix for path in found} >= {".journal", ".snapshot"}
    for path in found:
        assert path.stat().st_mode & 0o7777 == (folder_mode if path.is_dir() else file_mode), path


def test_a_folder_that_is_there_stays_as_its_owner_made_it(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    Disk().make_folder(str(shared))
    assert shared.stat().st_mode & 0o7777 == 0o2775
