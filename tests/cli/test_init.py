"""The settings that `deltabook init` writes, and a server that has nothing to trade."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from stream.cli import main
from stream.cli.init import TEXT
from stream.settings.config import ConfigError, read_config
from tests.sockets import run, serving


def test_what_it_writes_is_a_market(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "market.toml"
    assert main(["init", str(path)]) == 0
    assert f"deltabook serve --config {path}" in capsys.readouterr().out
    config = read_config(path)
    assert [each.name for each in config.instruments] == ["COIN-EUR"]

    @run
    async def served() -> None:
        async with serving(replace(config, journal="none")) as server:
            assert [terms.name for terms in server.venue.instrument_terms()] == ["COIN-EUR"]

    served()
    assert main(["init", str(path)]) == 2    # it overwrites nothing
    assert "is there already" in capsys.readouterr().err
    assert main(["init", str(tmp_path / "no" / "such" / "market.toml")]) == 2


def test_what_is_commented_out_is_right_too() -> None:
    lines = TEXT.format(name="market.toml").splitlines()
    settings = [line.removeprefix("# ") for line in lines if line.startswith("# ") and (" = " in line or line == "# [[keys]]") and "`" not in line]
    shown = tomllib.loads("\n".join(settings))
    names = set(read_config().__struct_fields__)
    assert shown.keys() - {"band", "orders_max"} <= names
    assert shown["keys"] == [{"algorithm": "EdDSA", "file": "issuer.pem"}]


def test_a_market_of_nothing_says_what_to_do_next(tmp_path: Path) -> None:
    served = subprocess.Popen([sys.executable, "-m", "stream", "serve", "--port", "0", "--journal", "none"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert served.stdout
    with served.stdout:
        assert any("`deltabook init`" in line for line in served.stdout)
        served.terminate()
        assert served.wait(60) == 0


def test_an_error_names_the_file_that_it_is_in(tmp_path: Path) -> None:
    path = tmp_path / "market.toml"
    for text in ('port = "x"\n', "prot = 1\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"^\S*market\.toml: "):
            read_config(path)
    path.write_text("port = 1\n")
    with pytest.raises(ConfigError, match=r"^Expected"):
        read_config(path, {"DELTABOOK_PORT": "x"})
