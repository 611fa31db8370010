"""The command line's manners: help with examples, completion, colours, errors that say what to do, and the doctor."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stream.cli import COMMANDS, main, parser_of
from stream.cli.completion import arguments_of
from stream.cli.doctor import BAD, DOUBT, GOOD, number_of
from stream.journal.files import Disk
from stream.journal.recovery import LOCK
from tests.cli.test_cli import deltabook
from tests.redis_servers import RedisServer, needs_redis
from tests.sockets import run, serving

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*filter(None, [command]), "--help"])
    out = capsys.readouterr().out
    assert "examples:\n" in out
    assert out.count("\n  deltabook ") + out.count("$(deltabook") >= 2


def own_commands(name: str) -> list[str]:
    """The commands of a command."""
    commands, own, *_ = (action.choices for action in arguments_of(parser_of([name])) if isinstance(action.choices, dict))
    assert name in commands
    return list(own)


@pytest.mark.parametrize("command", [f"{name} {inner}" for name in ("journal", "admin") for inner in own_commands(name)])
def test_help_of_a_command_s_own_commands_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, inner = command.split()
    with pytest.raises(SystemExit):
        main([*(["admin", "--token", "t"] if name == "admin" else [name]), inner, "--help"])
    out = capsys.readouterr().out
    assert f"examples:\n  deltabook {name} " in out
    assert "Traceback" not in out


def test_a_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["verfy"])
    assert left.value.code == 2
    assert "did you mean verify?" in capsys.readouterr().err


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"deltabook {tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}\n"


# Errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "ws://127.0.0.1:1/v1"], "`deltabook serve` starts one"),
        (["watch", "orderbook:A-B", "--url", "ws://127.0.0.1:1/v1"], "`deltabook serve` starts one"),
        (["serve", "--config", "no-such-file.toml"], "No such file"),
        (["serve", "--set", "prot=1"], "lists the settings"),
        (["doctor", "--config", "no-such-file.toml"], "No such file"),
        (["doctor", "--redis", "http://127.0.0.1"], "redis"),
    ],
)
def test_an_error_says_what_to_do(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_an_unexpected_error_shows_no_traceback_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(arguments: Any) -> int:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("stream.cli.token.run", fail)
    assert main(["token", "alice"]) == 2
    err = capsys.readouterr().err
    assert err == "deltabook token: unexpected ZeroDivisionError: by nought; DELTABOOK_TRACEBACK=1 shows where it came from\n"
    monkeypatch.setenv("DELTABOOK_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["token", "alice"])


def test_a_token_tells_of_a_key_that_no_server_has_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["token", "alice"]) == 0
    assert "made data/development.key" in capsys.readouterr().err
    assert main(["token", "alice"]) == 0
    assert capsys.readouterr().err == ""


def test_colours_are_for_who_wants_them() -> None:
    def told(**environment: str) -> str:
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
        command = [sys.executable, "-m", "stream", "verify", "ws://127.0.0.1:1/v1"]
        return subprocess.run(command, cwd=ROOT, env=plain | environment, capture_output=True, text=True, check=False).stderr

    assert "\x1b[" in told(FORCE_COLOR="1", TERM="xterm")
    assert "\x1b[3" not in told(FORCE_COLOR="1", TERM="xterm", NO_COLOR="1")
    assert "\x1b[" not in told(TERM="xterm")    # no terminal


@pytest.mark.parametrize(("run", "times"), [("completion.run", 6), ("lambda arguments: Console().print('much' * 1000) or 0", 50)], ids=["plain", "rich"])
def test_a_reader_that_leaves_is_no_error(run: str, times: int) -> None:
    """What is printed is more than fits into a pipe."""
    reader = subprocess.Popen(["head", "-1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert reader.stdin
    command = [sys.executable, "-c", f"""import sys
from rich.console import Console
from stream.cli import completion, main
completion.run = {run}
sys.exit(max(main(['completion', 'fish']) for _ in range({times})))"""]
    told = subprocess.run(command, cwd=ROOT, stdout=reader.stdin, stderr=subprocess.PIPE, text=True, check=False)
    reader.stdin.close()
    reader.wait()
    assert (told.returncode, told.stderr) == (0, "")


# Completion


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def bash(script: str, line: str) -> set[str]:
    """What bash offers at the end of a line."""
    words = line.split(" ")
    listed = " ".join(f"'{word}'" for word in words)
    ask = f"{script}\nCOMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _shtab_deltabook; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    return set(subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())


def fish(script: str, line: str) -> set[str]:
    """What fish offers."""
    told = subprocess.run(["fish", "-N", "-c", f"{script}\ncomplete -C '{line}'"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return {offered.partition("\t")[0] for offered in told.splitlines()}


@pytest.mark.parametrize(("shell", "complete"), [("bash", bash), ("fish", fish)])
def test_a_shell_completes_commands_flags_and_values(shell: str, complete: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    written = script(shell, capsys)
    assert set(COMMANDS) <= complete(written, "deltabook ")
    assert complete(written, "deltabook ver") == {"verify"}
    assert {"--slow", "--html"} <= complete(written, "deltabook load --")
    assert "--slow" not in complete(written, "deltabook verify --")
    assert {"info", "check", "repair"} <= complete(written, "deltabook journal ")
    assert "--events" in complete(written, "deltabook journal dump --")
    assert complete(written, "deltabook replay --format fl") == {"flash1"}
    assert complete(written, "deltabook completion f") >= {"fish"}
    assert "pyproject.toml" in complete(written, "deltabook serve --config pypro")


def test_zsh_can_read_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    written = script("zsh", capsys)
    assert written.startswith("#compdef deltabook\n")
    for name in COMMANDS:
        assert f"{name}:'" in written
    if not shutil.which("zsh"):
        pytest.skip("there is no zsh here")
    asked = "autoload -Uz compinit && compinit -D -u; eval \"$SCRIPT\"; print ok $_comps[deltabook]"
    told = subprocess.run(["zsh", "-f", "-c", asked], capture_output=True, text=True, check=True, env=os.environ | {"SCRIPT": written})
    assert told.stdout == "ok _shtab_deltabook\n"


# Doctor


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status, and what the doctor found, by name."""
    status = main(["doctor", "--json", *arguments])
    return status, {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}


def test_a_fit_machine_gets_a_good_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = findings(capsys, "--port", "0", "--journal", str(tmp_path))
    assert status == 0
    assert {name: finding["verdict"] for name, finding in found.items() if finding["verdict"] == BAD} == {}
    assert {"python", "msgspec", "uvloop", "compiled parts", "port", "open files", "journal", "clock"} <= found.keys()
    assert "Cython 3" in found["compiled parts"]["what"]
    assert main(["doctor", "--port", "0", "--journal", str(tmp_path)]) == 0
    assert "✓" in capsys.readouterr().out


def test_a_taken_port_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, found = findings(capsys, "--port", str(taken.getsockname()[1]), "--journal", str(tmp_path))
    assert (status, found["port"]["verdict"]) == (1, BAD)
    assert "--port" in found["port"]["advice"]


@run
async def test_a_server_that_is_there_already_is_told_from_another_program() -> None:
    async with serving() as server:
        outcome = await deltabook("doctor", "--port", str(server.port), "--journal", "none", "--json")
    found = {finding["name"]: finding for finding in json.loads(outcome.out)}
    assert found["port"]["verdict"] == DOUBT
    assert "already" in found["port"]["what"]


def test_the_journal_s_folder_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "00000000000000000001.journal").write_bytes(bytes(3_000_000))
    assert "3 MB" in findings(capsys, "--port", "0", "--journal", str(tmp_path))[1]["journal"]["what"]
    disk = Disk()
    lock = disk.lock(str(tmp_path / LOCK))
    locked = findings(capsys, "--port", "0", "--journal", str(tmp_path))[1]["journal"]
    disk.close(lock)
    assert (locked["verdict"], "a server is writing" in locked["what"]) == (DOUBT, True)
    file = tmp_path / "file"
    file.touch()
    status, found = findings(capsys, "--port", "0", "--journal", str(file / "below"))
    assert (status, found["journal"]["verdict"]) == (1, BAD)
    config = tmp_path / "venue.toml"
    config.write_text(f"journal_reserve_bytes = {1 << 60}\njournal = '{tmp_path}/new'\nport = 0\n")
    status, found = findings(capsys, "--config", str(config))
    assert (status, found["journal"]["verdict"]) == (1, BAD)
    assert "no order would be taken" in found["journal"]["what"]


def test_a_redis_that_does_not_answer_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = findings(capsys, "--port", "0", "--journal", str(tmp_path), "--redis", "redis://someone:secret@127.0.0.1:1")
    assert status == 1
    assert "secret" not in json.dumps(found)
    assert (found["redis server"]["verdict"], found["redis server"]["advice"]) == (BAD, "start it, or give another one with --redis")


@needs_redis
def test_a_redis_that_may_forget_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--port", "0", "--journal", str(tmp_path))
    for options, verdict in (((), GOOD), (("--maxmemory-policy", "allkeys-lru"), BAD)):
        server = RedisServer(tmp_path / "redis", 0, *options).start()
        try:
            found = findings(capsys, *asked, "--redis", server.url)[1]["redis server"]
        finally:
            server.stop()
        assert found["verdict"] == verdict
        assert "answers in" in found["what"]


def test_what_is_missing_or_old_is_bad(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requirements = ["msgspec>=99", "no-such-package>=1", "pytest>=99; extra == 'test'", "pyjwt[crypto]>=2", "picows<2,>=1", "redis<99,>=5"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: requirements)
    status, found = findings(capsys, "--port", "0", "--journal", str(tmp_path))
    assert status == 1
    verdicts = {"msgspec": BAD, "no-such-package": BAD, "pyjwt": GOOD, "picows": BAD, "redis": GOOD}
    assert {name: found[name]["verdict"] for name in verdicts} == verdicts
    assert found["msgspec"]["advice"] == "pip install 'msgspec>=99'"
    assert "pytest" not in found
    monkeypatch.setattr("resource.getrlimit", lambda _: (100, 200))
    few = findings(capsys, "--port", "0", "--journal", str(tmp_path))[1]["open files"]
    assert (few["verdict"], "18 connections" in few["what"]) == (DOUBT, True)


def test_versions_are_compared_as_numbers() -> None:
    assert number_of("2.10.1") > number_of("2.9")
    assert number_of("3.0rc1") == (3, 0)
    assert number_of("1.2+local") == (1, 2)
