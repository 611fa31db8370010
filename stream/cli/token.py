"""`deltabook token`: prints a development token for your own server."""

import argparse
import os
import sys
import time
from pathlib import Path

from stream.access.auth import mint
from stream.cli.numbers import counted
from stream.settings.config import ConfigError, read_config
from stream.wire.channels import ACCOUNT_SCOPE, ADMIN_SCOPE, MARKET_SCOPE, TRADE_SCOPE

SCOPES = (MARKET_SCOPE, ACCOUNT_SCOPE, TRADE_SCOPE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `token`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  deltabook watch balances --token $(deltabook token alice)\n"
        "  deltabook token bob --scope market --seconds 60\n"
        "  deltabook admin --token $(deltabook token root --scope admin) connections"
    )
    parser.add_argument("subject", help="the subject: who the bearer of the token is")
    parser.add_argument("--scope", action="append", choices=[*SCOPES, ADMIN_SCOPE],
                        help="what the token allows; you can give several (default: all but admin)")
    parser.add_argument("--seconds", type=counted, default=24 * 3600, help="how long the token is valid (default: a day)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the server's TOML file")


def run(arguments: argparse.Namespace) -> int:
    """Print a token. Returns the exit status."""
    if not arguments.subject:
        raise ConfigError("the subject is empty: expected a name")
    config = read_config(arguments.config, os.environ)
    new = not config.keys and not Path(config.key_file).exists()
    print(mint(config, arguments.subject, arguments.scope or SCOPES, arguments.seconds, int(time.time())))
    if new:
        print(f"deltabook token: made {config.key_file}: servers that you start in this folder from now on will accept the token", file=sys.stderr)
    return 0
