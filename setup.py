"""Builds the compiled modules of `engine` and `stream`.

DELTABOOK_CHECKED=1 builds them for the tests: with bounds checks, C assertions, and thresholds that small tests meet from both sides.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = os.environ.get("DELTABOOK_CHECKED") == "1"

setup(
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
