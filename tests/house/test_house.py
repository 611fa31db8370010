"""The rules of the house: who may import what, how long a file may be, and that the stubs tell the truth."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from enum import IntEnum
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import engine.model

ROOT = Path(__file__).parents[2]
SOURCES = {".py", ".pyx", ".pxd", ".pyi", ".js", ".css", ".html", ".sh", ".toml", ".yml", ".md"}

LINES_MAX = 450

ROOMS: dict[str, str] = {
    "engine": "",
    "wire": "engine",
    "system": "",
    "settings": "wire",
    "commands": "wire",
    "client": "wire system",
    "access": "settings system",
    "account_history": "journal",
    "feed": "commands settings",
    "journal": "commands",
    "replay": "engine",
    "sources": "replay",
    "venue": "access feed",
    "market": "venue journal sources account_history",
    "server": "market",
    "relay": "server client",
    "dialects": "server",
    "rest": "server",
    "cluster": "server",
    "export": "market client",
    "fault": "wire",
    "harness": "client",
    "cli": "relay dialects rest cluster harness fault export",
    "face": "client",    # `stream` itself, and `deltabook`: what is imported from them
}
"""Each room, and the rooms that it may import: these, and what these may."""

FLOORS_MAX = 9

OUTSIDE = {
    "aiohttp", "asyncio", "concurrent", "faulthandler", "fcntl", "gc", "getpass", "httpx", "importlib", "io", "mmap", "multiprocessing", "os", "pathlib",
    "picows", "platform", "random", "redis", "resource", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib", "uvloop", "webbrowser",
}
"""Sockets, loops, clocks, files, processes, randomness and the environment."""

TOUCHES: dict[str, str] = {
    "access.key_files": "os pathlib secrets",
    "access.keys": "pathlib secrets",
    "access.trust": "asyncio httpx pathlib ssl",
    "account_history.database": "sqlite3",
    "account_history.recorder": "pathlib sqlite3 threading",
    "cli": "asyncio importlib os socket",
    "cli.account": "os",
    "cli.admin": "time",
    "cli.cluster": "os",
    "cli.completion": "pathlib",
    "cli.doctor": "fcntl importlib os pathlib platform resource socket time urllib",
    "cli.export": "pathlib",
    "cli.fault": "asyncio signal",
    "cli.init": "pathlib",
    "cli.journal": "pathlib time",
    "cli.judge": "asyncio os",
    "cli.key": "os pathlib time",
    "cli.load": "asyncio os pathlib signal time",
    "cli.replay": "pathlib",
    "cli.rows": "io",
    "cli.serve": "asyncio gc os pathlib signal",
    "cli.token": "os pathlib time",
    "cli.verify": "asyncio time",
    "cli.watch": "os time",
    "client.client": "asyncio random",
    "client.handshake": "asyncio picows socket ssl urllib",
    "client.kept_connection": "asyncio picows random time",
    "client.live": "asyncio",
    "client.redundant": "asyncio random",
    "client.tables": "importlib",
    "cluster.engine_server": "asyncio os secrets socket time",
    "cluster.gateway_server": "asyncio os pathlib secrets socket",
    "cluster.overview": "asyncio redis",
    "cluster.redis_client": "redis",
    "cluster.redis_engine": "asyncio redis",
    "cluster.redis_gateway": "asyncio",
    "cluster.redis_snapshot": "redis secrets",
    "cluster.redis_strays": "redis",
    "cluster.redis_url": "redis urllib",
    "cluster.socket_link": "asyncio pathlib",
    "cluster.state_file": "asyncio gc os signal tempfile",
    "cluster.workers": "asyncio os pathlib signal socket tempfile time",
    "dialects.binance.dialect": "urllib",
    "dialects.binance.listen_keys": "secrets",
    "dialects.binance.request": "urllib",
    "dialects.kraken.rest": "urllib",
    "export.channel_source": "asyncio",
    "export.dbn": "importlib pathlib",
    "export.hftbacktest": "pathlib shutil tempfile",
    "export.lobster": "pathlib",
    "export.parquet": "importlib pathlib",
    "export.writers": "importlib pathlib",
    "face.deltabook": "importlib",
    "fault.kinds": "random",
    "fault.plan": "random",
    "fault.proxy": "asyncio socket ssl urllib",
    "fault.streams": "random",
    "harness.crew": "asyncio time",
    "harness.load_client": "asyncio picows random socket time",
    "harness.load_page": "time",
    "harness.plan": "random",
    "harness.report": "importlib os platform time",
    "harness.server_figures": "asyncio httpx ssl time urllib",
    "harness.worker": "asyncio gc resource time",
    "journal.files": "fcntl os",
    "journal.recovery": "secrets",
    "journal.snapshots": "secrets",
    "journal.writer": "threading time",
    "market.archive": "asyncio time",
    "market.history": "secrets",
    "market.trial": "faulthandler os pathlib signal subprocess tempfile",
    "market.trial_child": "mmap os signal threading time",
    "relay.relay_server": "asyncio pathlib",
    "replay": "pathlib time",
    "replay.binance": "pathlib",
    "replay.bitstamp": "pathlib",
    "replay.flash1": "pathlib",
    "replay.lobster": "pathlib",
    "rest.endpoints": "urllib",
    "rest.rest": "importlib",
    "server.connection": "asyncio picows",
    "server.door": "asyncio socket",
    "server.faults": "random",
    "server.faulty_writer": "asyncio",
    "server.http_port": "aiohttp asyncio socket",
    "server.http_request": "urllib",
    "server.intake": "picows",
    "server.market_server": "asyncio sqlite3",
    "server.origins": "urllib",
    "server.pages": "importlib",
    "server.server": "asyncio os picows resource socket",
    "settings.config": "pathlib",
    "sources.recorded": "pathlib",
    "sources.simulated": "random",
    "sync": "asyncio concurrent threading time",
    "system.clock": "time",
    "system.loop": "asyncio uvloop",
    "system.logs": "time",
    "system.tasks": "asyncio",
    "venue.venue": "importlib",
}
"""What each module has of those; all that are not named here take bytes and `now` as arguments, and have none."""

PARTS = ROOT / "stream" / "docs" / "explanation" / "running-parts.md"

BEGIN = {"create_task", "ensure_future", "going_on", "once", "Thread", "Popen", "create_subprocess_exec", "create_subprocess_shell", "to_thread",
         "run_in_executor", "fork", "start_unix_server", "call_later", "call_at", "start_new_thread", "Process", "TaskGroup"}
TOOLS = ("cli/", "examples/", "fault/", "harness/", "replay/", "system/tasks.py")
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


def room_of(module: str) -> str:
    """The room of a module of ours."""
    top, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    return "engine" if top == "engine" else "cli" if module.endswith("__main__") else room if room in ROOMS else "face"


def modules() -> dict[str, list[Path]]:
    """Every module of the product but pictures, pages and examples, with its files."""
    found: dict[str, list[Path]] = {}
    for path in [*(ROOT / "engine").rglob("*"), *(ROOT / "stream").rglob("*")]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if path.suffix in {".py", ".pyx", ".pxd"} and not name.startswith(("stream.docs", "stream.examples", "stream.web")):
            found.setdefault(name, []).append(path)
    return found


def edges() -> dict[str, set[str]]:
    """The modules of ours that each one imports or cimports, for its types too."""
    files = modules()
    found: dict[str, set[str]] = {}
    for name, paths in files.items():
        names = set().union(*(names_in(path) for path in paths))
        found[name] = {each if each in files else each.rpartition(".")[0] for each in names} & files.keys() - {name}
    return found


def names_in(path: Path) -> set[str]:
    """All that a file imports, each name with its module."""
    text = path.read_text()
    if path.suffix == ".py":
        nodes = list(ast.walk(ast.parse(text)))
        froms = {f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
        return froms | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = re.findall(r"^\s*from ([\w.]+) c?import (\([^)]*\)|[^\n#]*)", text, re.MULTILINE)
    return {f"{module}.{name}" for module, names in froms for name in re.findall(r"\w+", names)} | set(re.findall(r"^\s*c?import ([\w.]+)", text, re.MULTILINE))


def allowed(room: str) -> set[str]:
    """The rooms that one may import, itself one of them."""
    return {room}.union(*map(allowed, ROOMS[room].split()))


def floor(room: str) -> int:
    """The ground floor is 1."""
    return 1 + max(map(floor, ROOMS[room].split()), default=0)


def test_every_room_is_in_the_plan() -> None:
    folders = {path.parent.name for path in (ROOT / "stream").glob("*/__init__.py")} - {"examples", "web"}
    assert folders | {"engine", "face"} == ROOMS.keys()
    assert max(map(floor, ROOMS)) <= FLOORS_MAX


def test_every_room_is_packed_with_all_that_it_holds() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent for path in (ROOT / "stream").rglob("__init__.py")} | {ROOT / "engine"}
    elsewhere = settings["package-dir"]
    packages = {ROOT / elsewhere.get(package, package.replace(".", "/")): package for package in settings["packages"]}
    assert folders == packages.keys()
    packed = {path for folder, package in packages.items() for glob in settings["package-data"].get(package, []) for path in folder.glob(glob)}
    kinds = {".pyx", ".pxd", ".pyi", ".js", ".html", ".css", ".gz", ".typed", ".ipynb"}
    held = {path for folder in folders for path in folder.rglob("*") if path.suffix in kinds}
    assert {path for path in held - packed if "docs" not in path.parts} == set()


def test_no_room_imports_a_higher_one() -> None:
    wrong = {name: bad for name, names in edges().items() if (bad := {each for each in names if room_of(each) not in allowed(room_of(name))})}
    assert wrong == {}


def test_there_are_no_circles() -> None:
    """What is imported for its types only counts, too."""
    TopologicalSorter({name: names for name, names in edges().items() if not name.startswith("engine.")}).prepare()


def test_each_module_touches_what_the_plan_says() -> None:
    touched = {}
    for name, paths in modules().items():
        names = set().union(*(roots(imported(path)) if path.suffix == ".py" else roots(cimported(path)) for path in paths)) & OUTSIDE
        if names:
            touched[name.removeprefix("stream.")] = " ".join(sorted(names))
    assert touched == TOUCHES


def test_a_client_loads_no_server() -> None:
    code = "import deltabook, stream, sys; print(*sorted(name for name in sys.modules if name.startswith(('stream', 'engine'))))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {room_of(name) for name in loaded} == {"engine", "wire", "system", "client", "face"}


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
    tests = set(re.findall(r"def (test_\w+)\(", "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))))
    for row in rows_of_parts():
        assert len(row) == 5
        assert all(row)
        assert row[4].strip("`") in tests


NO_PRIVATES = {"_replace", "_asdict", "_fields", "_make", "_exit", "_last_update_id"}
"""What a NamedTuple calls so, since its fields may have any other name; what `os` does; and python-binance, which shows the id of its book nowhere else."""


def privates(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a file uses a name that begins with an underscore and is not its own object's, nor its parent's: by the dot, by `getattr` or by an import."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name("self" | "cls") | ast.Call(ast.Name("super")), name):
                pass
            case ast.Attribute(_, name) | ast.Call(ast.Name("getattr" | "setattr" | "hasattr"), [_, ast.Constant(str(name)), *_]):
                if name.startswith("_") and not name.startswith("__") and name not in NO_PRIVATES:
                    yield node.lineno, name
            case ast.Call(ast.Attribute(_, "setattr" | "delattr" | "object"), [_, ast.Constant(str(name)), *_]):    # of pytest's monkeypatch, or of a mock
                if name.startswith("_") and not name.startswith("__"):
                    yield node.lineno, name
            case ast.ImportFrom():
                yield from ((node.lineno, alias.name) for alias in node.names if alias.name.startswith("_"))


def test_no_test_reaches_into_privates() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}: {name}" for path in (ROOT / "tests").rglob("*.py") for line, name in privates(ast.parse(path.read_text()))]
    assert found == []


@pytest.mark.parametrize(("source", "names"), [
    ("client._link", ["_link"]), ("a.b()._c.d", ["_c"]), ("getattr(client, '_link')", ["_link"]), ("patch.setattr(Node, '_offer', None)", ["_offer"]),
    ("from stream import _x", ["_x"]), ("self._link.transport", []), ("super()._hear(1)", []), ("self.client._link", ["_link"]), ("point._replace(seq=1)", []),
    ("type(self).__name__", []),
])
def test_a_private_is_found(source: str, names: list[str]) -> None:
    assert [name for _, name in privates(ast.parse(source))] == names
