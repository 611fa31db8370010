"""A clock on the wall that a test may step: that of one process, which is started with `environment`."""

import os
import shutil
import subprocess
from pathlib import Path

COMPILER = shutil.which(os.environ.get("CC", "cc"))
"""Without one there are no such clocks."""


class WallClock:
    """How far off a process's clock is, in a file of `folder`; it may be changed while the process runs."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.clock"
        self._library = folder / "wall_clock.so"
        self.set(0)

    def set(self, offset: int) -> None:
        """Be so many ns ahead of the machine's."""
        data = offset.to_bytes(8, "little", signed=True)
        if self._file.exists():
            with self._file.open("r+b") as file:
                file.write(data)
        else:
            self._file.write_bytes(data)

    def environment(self) -> dict[str, str]:
        """What has a process look at this clock."""
        if not COMPILER:
            return {}
        if not self._library.exists():
            subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", "-o", str(self._library), str(Path(__file__).with_suffix(".c")), "-ldl"], check=True)
        return {"LD_PRELOAD": str(self._library), "WALL_CLOCK_OFFSET": str(self._file)}
