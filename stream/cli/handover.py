"""`deltabook handover`: lets a standby lead a market that Redis joins."""

import argparse

from stream.cli.cluster import add_redis
from stream.cluster.overview import hand_over
from stream.cluster.redis_client import TROUBLE, connect, keys_of, without_password
from stream.settings.config import ConfigError
from stream.system import loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `handover`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  deltabook handover                    run this before you restart the leader: nothing is lost, and clients get a patch\n"
        "  deltabook handover --patience 60      give it a minute"
    )
    add_redis(parser)
    parser.add_argument("--patience", type=float, default=10, metavar="S", help="how long to wait for the leader to leave, in seconds (default: 10)")


def run(arguments: argparse.Namespace) -> int:
    """Hand over. Returns the exit status: 1 if the leader has not left in time."""
    if arguments.patience <= 0:
        raise ConfigError(f"--patience {arguments.patience:g}: expected more than 0 seconds")
    try:
        leader = loop.run(hand_over(connect(arguments.redis), keys_of(arguments.cluster), arguments.patience))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except TROUBLE as error:
        raise ConfigError(f"redis {without_password(arguments.redis)}: {error}") from error
    print(f"{leader} leads" if leader else f"the leader has not left within {arguments.patience:g} seconds")
    return int(not leader)
