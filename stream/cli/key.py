"""`deltabook key`: makes, lists and revokes API keys in the file that a server reads."""

import argparse
import os
import time
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stream.access import key_files
from stream.access.api_keys import SCOPES, ApiKey, RevokedKey, public_key_in, secret_of
from stream.cli import teach
from stream.cli.numbers import counted
from stream.settings.config import Config, ConfigError, read_config
from stream.wire.channels import ACCOUNT_SCOPE, MARKET_SCOPE, TRADE_SCOPE

DAY_S = 24 * 3600

EXAMPLES = """examples:
  deltabook key create alice
  deltabook key create bob --scopes market account --days 30
  deltabook key create carol --ed25519 carol.pem
  deltabook key list
  deltabook key revoke 5f0c8a
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of `key` and their flags."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("--config", type=Path, metavar="FILE", help="the server's TOML file")
    requests = parser.add_subparsers(dest="request", metavar="REQUEST", required=True)

    def add(name: str, help: str) -> argparse.ArgumentParser:
        request = requests.add_parser(name, help=help, description=help)
        teach(request, EXAMPLES, name)
        return request

    create = add("create", "make a key, and print its secret, which is shown only this once")
    create.add_argument("subject", help="whose key it is")
    create.add_argument("--scopes", nargs="+", choices=sorted(SCOPES), default=[MARKET_SCOPE, ACCOUNT_SCOPE, TRADE_SCOPE],
                        help="what the key allows (default: all but admin)")
    create.add_argument("--ed25519", type=Path, metavar="FILE", help="the owner's public key as PEM; without it, the key is for HMAC-SHA256")
    create.add_argument("--days", type=counted, default=365, help="how long the key is valid (default: %(default)s)")
    add("list", "show all keys, but no secrets")
    add("revoke", "revoke a key").add_argument("id", help="its id, as `deltabook key list` shows it")


def create(config: Config, arguments: argparse.Namespace, now: int) -> None:
    """Make a key, and print what its owner needs."""
    lifetime = arguments.days * DAY_S
    if not 1 <= len(arguments.subject) <= 128 or not arguments.subject.isprintable():
        raise ConfigError(f"the subject {arguments.subject!r}: expected 1 to 128 printable characters")
    if lifetime > config.api_key_lifetime_s_max:
        raise ConfigError(f"{arguments.days} days: expected at most {config.api_key_lifetime_s_max // DAY_S}, the setting `api_key_lifetime_s_max`")
    public = ""
    if arguments.ed25519:
        try:
            public = b64encode(public_key_in(arguments.ed25519.read_bytes()).public_bytes_raw()).decode()
        except OSError as error:
            raise ConfigError(f"{arguments.ed25519}: {error.strerror}") from error
        except ConfigError as error:
            raise ConfigError(f"{arguments.ed25519}: {error}") from error
    key = ApiKey(key_files.new_id(), arguments.subject, tuple(sorted(set(arguments.scopes))), now, now + lifetime, public)
    secret = None if public else secret_of(key, key_files.make_master(config))
    key_files.add(config, key)
    print(f"key     {key.id}")
    if secret:
        print(f"secret  {secret}")
        Console(stderr=True, soft_wrap=True, highlight=False).print("deltabook key: keep the secret, for it is not shown again")


def rows(config: Config, now: int) -> Sequence[tuple[str, ...]]:
    """A row for each key, in the order in which they were made."""
    keys, revoked = key_files.read_keys(config)
    gone = {each.token_id for each in revoked}
    return [
        (key.id, key.subject, " ".join(key.scopes), key.scheme, day(key.created), day(key.expires),
         "revoked" if key.id in gone else "expired" if key.expires <= now else "valid")
        for key in keys.values()
    ]


def day(time: int) -> str:
    """The day of a time in seconds since 1970."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"


def revoke(config: Config, id: str, now: int) -> None:
    """Add to the file that a key is good no longer."""
    keys, revoked = key_files.read_keys(config)
    if id not in keys:
        raise ConfigError(f"{config.api_keys}: there is no key {id!r}; `deltabook key list` shows all")
    if id not in {each.token_id for each in revoked}:
        key_files.add(config, RevokedKey(id, now))
    print("revoked: servers that read this file refuse it from now on")
    print(f"servers that read another copy: deltabook admin --url URL --token TOKEN revoke --token-id {id}")


def run(arguments: argparse.Namespace) -> int:
    """Make, list or revoke. Returns the exit status."""
    config, now = read_config(arguments.config, os.environ), int(time.time())
    match arguments.request:
        case "create":
            create(config, arguments, now)
        case "list":
            table = Table(box=None, pad_edge=False)
            for heading in ("key", "subject", "scopes", "scheme", "from", "until", ""):
                table.add_column(heading, no_wrap=True)
            for row in rows(config, now):
                table.add_row(*row)
            console = Console(highlight=False)
            Console(highlight=False, width=max(console.width, 160)).print(table)
        case "revoke":
            revoke(config, arguments.id, now)
    return 0
