"""A build of the engine with faults in it: a cancel that names one of these client ids ends the process, or never ends."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import engine
from engine import CommandKind

SEGFAULT, ABORT, ENDLESS, EXIT, KILL = range(901, 906)

FAULTS = f"""
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static void faulty(struct Command const *command, Py_ssize_t count) {{
  for (Py_ssize_t i = 0; i < count; i++)
    if (command[i].kind == {CommandKind.CANCEL:d})
      switch (command[i].client_id) {{
        case {SEGFAULT}: *(volatile int *) 8 = 0; break;
        case {ABORT}: abort();
        case {ENDLESS}: for (;;) pause();
        case {EXIT}: _exit(3);
        case {KILL}: raise(SIGKILL);
      }}
}}
"""
RUN_ALL = "static void __pyx_f_6engine_9lookahead_run_all("


def build(folder: Path) -> None:
    """Put a package `engine` into a folder, all of which is the usual build but for one module. Python takes it if it is run in this folder."""
    here, there = Path(str(engine.__file__)).parent, folder / "engine"
    there.mkdir()
    for path in here.iterdir():
        if path.suffix in (".py", ".so"):
            shutil.copy2(path, there)
    code = there / "lookahead.c"
    if (here / code.name).exists():
        source = (here / code.name).read_text()
    else:
        subprocess.run([sys.executable, "-m", "cython", "-3", str(here / "lookahead.pyx"), "-o", str(code)], cwd=here.parent, check=True)
        source = code.read_text()
    before, declared, body = source.partition(RUN_ALL)
    assert declared
    head, opened, rest = body.partition("{\n")
    code.write_text(before + FAULTS + RUN_ALL + head + opened + "  faulty(__pyx_v_commands, __pyx_v_count);\n" + rest)
    (module,) = there.glob("lookahead.*.so")
    include = sysconfig.get_paths()["include"]
    flags = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    subprocess.run(["cc", "-O0", "-w", "-shared", "-fPIC", *flags, "-I", include, str(code), "-o", str(module)], check=True)
