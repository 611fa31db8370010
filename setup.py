"""Builds the compiled modules of `engine` and `stream`.

DELTABOOK_CHECKED=1 builds them for the tests: with bounds checks, C assertions, and thresholds that small tests meet from both sides.
"""

import os
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.editable_wheel import editable_wheel

CHECKED = os.environ.get("DELTABOOK_CHECKED") == "1"


class EditableWheel(editable_wheel):
    """An editable install by folders on the path, which type checkers and editors follow; setuptools takes hooks for ours, which they do not."""

    def _select_strategy(self, name: str, tag: str, build_lib: str) -> Any:
        from setuptools.command.editable_wheel import _StaticPth

        return _StaticPth(self.distribution, name, [Path.cwd(), Path("stream/face").resolve()])


setup(
    cmdclass={"editable_wheel": EditableWheel},
    ext_modules=cythonize(
        [
            Extension(
                ".".join(path.with_suffix("").parts),
                [str(path)],
                define_macros=[("DELTABOOK_CHECKED", "1")] if CHECKED else [],
                extra_compile_args=["-O1", "-g", "-UNDEBUG"] if CHECKED else ["-O3", "-fno-tree-slp-vectorize"],
            )
            for path in sorted(path for package in ("engine", "stream") for path in Path(package).rglob("*.pyx"))
        ],
        compiler_directives={
            "language_level": 3,
            "embedsignature": True,
            "embedsignature.format": "python",
            "auto_pickle": False,
            "autotestdict": False,
            "binding": True,
            "boundscheck": CHECKED,
            "cdivision": True,
            "initializedcheck": CHECKED,
            "wraparound": False,
        },
        build_dir="build/checked_c" if CHECKED else None,    # what Cython writes for one build does not do for the other
        nthreads=os.cpu_count() or 1,
    )
)
