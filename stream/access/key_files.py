"""The file of API keys and that of their master key, on the disk. Lines are only added to the first, so a crash or two writers lose nothing."""

import os
import secrets
from pathlib import Path

from stream.access.api_keys import MASTER_BYTES_MIN, ApiKey, KeyFile, RevokedKey, as_line, read_lines
from stream.settings.config import Config, ConfigError

OTHERS = 0o007
"""The permissions of a file that neither its owner nor its group needs."""


def read_master(config: Config) -> bytes:
    """The master key, b"" if there is none. Raises ConfigError if it is too short, or if everybody on the machine may read it."""
    path = Path(config.api_keys_master)
    try:
        if not config.api_keys_master or not path.exists():
            return b""
        if path.stat().st_mode & OTHERS:
            raise ConfigError(f"{path}: others may read the master key: expected that only its owner may (chmod 600)")
        master = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(master) < MASTER_BYTES_MIN:
        raise ConfigError(f"{path}: the master key has {len(master)} bytes: expected at least {MASTER_BYTES_MIN}")
    return master


def make_master(config: Config) -> bytes:
    """The master key, which is made if there is none."""
    if not config.api_keys_master:
        raise ConfigError("api_keys_master: expected the file of the master key")
    if master := read_master(config):
        return master
    path = Path(config.api_keys_master)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, secrets.token_urlsafe(48).encode() + b"\n", os.O_EXCL)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return read_master(config)


def read_keys(config: Config) -> KeyFile:
    """The keys in the file; none if there is no file. Raises ConfigError."""
    path = Path(config.api_keys)
    try:
        return read_lines(path.read_bytes() if config.api_keys and path.exists() else b"")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def add(config: Config, entry: ApiKey | RevokedKey) -> None:
    """Add a line to the file, and have it on the disk. Raises ConfigError."""
    if not config.api_keys:
        raise ConfigError("api_keys: expected the file of API keys")
    path = Path(config.api_keys)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, b"\n" + as_line(entry))    # a line before it may lack its end
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def new_id() -> str:
    """An id for a key."""
    return secrets.token_hex(16)


def _append(path: Path, line: bytes, flags: int = 0) -> None:
    """Write a line in one piece at the end of a file that only its owner may read when it is made."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flags, 0o600)
    try:
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
