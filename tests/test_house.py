"""The rules of the house: who may import what, how long a file may be, and that the stubs tell the truth."""

import ast
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import pytest

import engine.model

ROOT = Path(__file__).parents[1]
SOURCES = {".py", ".pyx", ".pxd", ".pyi", ".js", ".css", ".html", ".sh", ".toml", ".yml", ".md"}

LINES_MAX = 450

IMPURE = {"asyncio", "httpx", "os", "picows", "redis", "selectors", "signal", "socket", "ssl", "threading", "time", "uvloop"}
"""What knows of sockets, loops, clocks and the environment."""

FACES = {
    "__init__.py", "__main__.py", "archive.py", "cli", "client.py", "clock.py", "cluster/engine_server.py", "cluster/gateway_server.py",
    "cluster/overview.py", "cluster/redis_client.py", "cluster/redis_engine.py", "cluster/redis_gateway.py", "cluster/redis_snapshot.py",
    "cluster/redis_strays.py", "cluster/redis_url.py", "cluster/socket_link.py", "cluster/state_file.py", "cluster/succession.py", "cluster/workers.py",
    "docs", "door.py", "examples", "fault/__init__.py", "fault/proxy.py", "faulty_writer.py", "handshake.py", "harness", "kept_connection.py", "live.py",
    "logs.py", "market_server.py", "redundant.py", "relay_server.py", "requests.py", "server.py", "tasks.py", "trial.py", "trial_child.py", "trust.py",
    "errors.py", "sync.py",
}
"""The files and folders of `stream` that may import those, and each other. All the others take bytes and `now` as arguments."""

PARTS = ROOT / "stream" / "docs" / "explanation" / "running-parts.md"

BEGIN = {"create_task", "ensure_future", "going_on", "once", "Thread", "Popen", "create_subprocess_exec", "create_subprocess_shell", "to_thread",
         "run_in_executor", "fork", "start_unix_server", "call_later", "call_at", "start_new_thread", "Process", "TaskGroup"}
TOOLS = ("cli/", "examples/", "fault/", "harness/", "replay/", "tasks.py")
"""Not a part of what serves, but for `cli/serve.py`; and the helper that begins what others name."""

ALLOWED = {
    "stream/journal/files.py": {"os"},
    "stream/journal/writer.py": {"threading", "time"},
    "stream/replay/__init__.py": {"time"},
}
"""What a pure file may import all the same: the journal's disk and its thread, and a stopwatch."""


def sources() -> Iterator[Path]:
    """Every file that people write, of those that git would keep."""
    for folder in ("", "engine", "stream", "tests", "benchmarks", ".ci", ".github"):
        for path in (ROOT / folder).rglob("*") if folder else ROOT.glob("*"):
            if path.is_file() and (path.suffix in SOURCES or path.name == "Makefile"):
                yield path


def imported(path: Path) -> set[str]:
    """The full names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            names.add(node.module or "")
    return names


def cimported(path: Path) -> set[str]:
    """The same for a file of Cython."""
    return set(re.findall(r"^\s*(?:from|cimport|import)\s+([\w.]+)", path.read_text(), re.MULTILINE))


def roots(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_the_engine_depends_on_nothing() -> None:
    allowed = {"collections", "cpython", "cython", "decimal", "engine", "enum", "fractions", "libc", "struct", "typing", "zlib"}
    for path in (ROOT / "engine").iterdir():
        if path.suffix in {".py", ".pyi", ".pyx", ".pxd"}:
            names = cimported(path) if path.suffix in {".pyx", ".pxd"} else imported(path)
            assert roots(names) <= allowed, path.name


def test_protocol_logic_knows_no_socket_no_loop_and_no_clock() -> None:
    faces = tuple(f"stream.{face.removesuffix('.py').replace('/', '.')}" for face in FACES)
    impure = {}
    for path in (ROOT / "stream").rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if FACES.isdisjoint({name.removeprefix("stream/"), name.split("/")[1]}):
            names = imported(path)
            bad = roots(names) & IMPURE - ALLOWED.get(name, set()) | {other for other in names if other.startswith(faces)}
            if bad:
                impure[name] = bad
    assert impure == {}


def test_the_product_does_not_import_its_tests() -> None:
    for path in (ROOT / "stream").rglob("*.py"):
        assert roots(imported(path)).isdisjoint({"tests", "benchmarks"}), path.name


@pytest.mark.parametrize("name", [name for name, value in vars(engine.model).items() if isinstance(value, type) and issubclass(value, IntEnum)])
def test_the_stub_has_the_values_of_the_compiled_enum(name: str) -> None:
    stub = ast.parse((ROOT / "engine" / "model.pyi").read_text())
    [definition] = [node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == name]
    written = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in definition.body if isinstance(node, ast.Assign)}
    assert written == {member.name: member.value for member in vars(engine.model)[name]}


def test_every_compiled_enum_is_in_the_stub() -> None:
    stub = ast.parse((ROOT / "engine" / "model.pyi").read_text())
    compiled = {name for name, value in vars(engine.model).items() if isinstance(value, type) and issubclass(value, IntEnum)}
    assert {node.name for node in stub.body if isinstance(node, ast.ClassDef)} == compiled != set()


def test_a_file_is_not_too_long() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in sources() if path.suffix != ".md"}
    assert {name: lines for name, lines in lengths.items() if lines > LINES_MAX} == {}


def test_no_file_knows_a_machine() -> None:
    place = re.compile(r"(?<![\w.~])/(?:home|root|tmp|work|Users|private|mnt)/[\w.]+")
    assert {path.name: found for path in sources() if (found := place.findall(path.read_text()))} == {}


def test_a_module_says_what_it_is() -> None:
    modules = [path for path in sources() if path.suffix in {".py", ".pyx", ".pxd"} and path.read_text()]
    assert [path.name for path in modules if not path.read_text().lstrip().startswith('"""')] == []


def begun_in(path: Path) -> set[str]:
    """Where a file begins something that runs beside it."""
    found = set()

    def visit(node: ast.AST, names: list[str]) -> None:
        for child in ast.iter_child_nodes(node):
            inside = [*names, child.name] if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else names
            if isinstance(child, ast.Call):
                name = child.func.attr if isinstance(child.func, ast.Attribute) else getattr(child.func, "id", "")
                if name in BEGIN:
                    found.add(f"{path.relative_to(ROOT / 'stream').as_posix()} {'.'.join(inside)}")
            visit(child, inside)

    visit(ast.parse(path.read_text()), [])
    return found


def rows_of_parts() -> list[tuple[str, ...]]:
    lines = [line for line in PARTS.read_text().splitlines() if re.match(r"\| (task|tasks|thread|timer|process): ", line)]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_the_table_of_what_runs_names_all_that_is_begun() -> None:
    """Whoever begins a thread, task, timer or process gives it a row, with who notices its end."""
    files = [path for path in (ROOT / "stream").rglob("*.py") if not path.relative_to(ROOT / "stream").as_posix().startswith(TOOLS) or path.name == "serve.py"]
    assert {row[1].strip("`") for row in rows_of_parts()} == set().union(*map(begun_in, files))


def test_each_row_of_what_runs_has_a_test_that_ends_it() -> None:
    tests = set(re.findall(r"def (test_\w+)\(", "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))))
    for row in rows_of_parts():
        assert len(row) == 5
        assert all(row)
        assert row[4].strip("`") in tests
