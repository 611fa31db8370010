"""Settings: the file, then the environment, then the flags; and clear words about bad ones."""

from decimal import Decimal
from pathlib import Path

import pytest

from stream.settings.config import Config, ConfigError, read_config, settings

FILE = """
port = 9000
interval_ms = 50
sources = ["simulated"]

[assets]
BTC = 8
USD = 6

[[instruments]]
name = "BTC-USD"
base = "BTC"
quote = "USD"
tick = "0.01"
lot = "0.0001"
taker_fee = 250
"""


def test_without_anything_the_defaults_hold() -> None:
    assert read_config(environment={}) == Config()


def test_flags_go_before_the_environment_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    path.write_text(FILE)
    environment = {"DELTABOOK_INTERVAL_MS": "250", "DELTABOOK_PORT": "9001", "DELTABOOK_DEPTHS": "[5, 10]", "OTHER": "x"}
    config = read_config(path, environment, {"port": 9002})
    assert (config.port, config.interval_ms, config.sources, config.depths) == (9002, 250, ("simulated",), (5, 10))
    instrument = config.instruments[0].instrument()
    assert (instrument.name, instrument.tick, instrument.taker_fee) == ("BTC-USD", Decimal("0.01"), 250)


@pytest.mark.parametrize(("text", "words"), [
    ("port = 70000", "65535"), ("prot = 1", "prot"), ("port = ", "Invalid value"), ('sources = ["live"]', "sources"), ("heartbeat_ms = 1", "100"),
    ('[[instruments]]\nname = "a b"', "instruments[0]"), ('[[keys]]\nalgorithm = "none"', "keys[0].algorithm"),
])
def test_a_bad_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_config(path, {})
    assert words in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        read_config(tmp_path / "absent.toml", {})
    with pytest.raises(ConfigError, match="DELTABOOK_DEPTHS"):
        read_config(None, {"DELTABOOK_DEPTHS": "[1,"})


def test_every_setting_says_what_it_is() -> None:
    for setting in settings():
        assert setting.meaning.endswith("."), setting.name
