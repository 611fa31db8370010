"""`deltabook init`: writes the settings of a market of one's own, with comments, into a file that `serve` takes."""

import argparse
from pathlib import Path

from stream.settings.config import ConfigError

TEXT = """# A market of your own: `deltabook serve --config {name}`
# Every other setting, with its default, is in `deltabook serve --help`.

port = 8080                # the page is on http://localhost:8080/
# rest_port = 8081         # a REST API beside the WebSocket, for curl and for those who want no client
journal = "data/journal"   # everything that happens is written here before it runs; "none" keeps nothing

[assets]                   # what people own, and how many decimals it has
COIN = 4
EUR = 6                    # at least the decimals of tick times lot below

[deposit]                  # what everybody has at the beginning; leave it out in a real market
COIN = "100"
EUR = "10000"

[[instruments]]            # what is traded for what; repeat this block for more
name = "COIN-EUR"
base = "COIN"              # what is bought and sold
quote = "EUR"              # what it is paid in
tick = "0.01"              # the smallest step of a price
lot = "0.01"               # the smallest step of a size
maker_fee = 500            # in parts per million of price times size: 0.05 % for who waits in the book,
taker_fee = 1000           # and 0.1 % for who takes from it
# band = 100000            # refuse a limit more than 10 % away from the last price
# orders_max = 100000      # the most orders in the book

# A real market has keys of its own instead of a development key: see "Tokens and keys" in the documentation.
# [[keys]]
# algorithm = "EdDSA"
# file = "issuer.pem"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `init`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "examples:\n  deltabook init\n  deltabook init tulips.toml"
    parser.add_argument("file", nargs="?", type=Path, default=Path("market.toml"), help="the file to write (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Write the file, unless it is there. Returns the exit status."""
    path: Path = arguments.file
    try:
        with path.open("x") as file:
            file.write(TEXT.format(name=path))
    except FileExistsError:
        raise ConfigError(f"{path} is there already: name another file, or remove it") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    print(f"{path} has the settings of a market: change them as you like, then\n  deltabook serve --config {path}")
    return 0
