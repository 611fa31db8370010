"""Where keys and revocations come from: a key set behind a URL or in a file, and a file of revocations. A face: it reads, writes and waits."""

import asyncio
import logging
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from stream.auth import Authenticator
from stream.config import Config, ConfigError
from stream.revocations import as_line, read_lines

log = logging.getLogger("deltabook")


class NoRedirects(HTTPRedirectHandler):
    """Keys come from where the configuration says, and from nowhere else."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str) -> None:
        """No."""


def may_be_asked(url: str) -> bool:
    """Whether keys from a URL can be trusted: by TLS, or because it is this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    try:
        return parts.scheme == "http" and (parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback)
    except ValueError:
        return False


def read(source: str, timeout_s: int, bytes_max: int) -> bytes:
    """What stands in a file or behind a URL. ConfigError if it cannot be had. Blocks."""
    try:
        if "://" in source:
            if not may_be_asked(source):
                raise ConfigError(f"{source}: expected https")
            with build_opener(NoRedirects).open(source, timeout=timeout_s) as answer:
                found = answer.read(bytes_max + 1)
        else:
            found = Path(source).read_bytes()
    except (OSError, ValueError, HTTPException) as error:
        raise ConfigError(f"{source}: {error}") from error
    if len(found) > bytes_max:
        raise ConfigError(f"{source}: expected at most {bytes_max} bytes")
    return bytes(found)


class Trust:
    """Keeps an authenticator's keys and revocations what they are outside."""

    def __init__(self, authenticator: Authenticator, config: Config) -> None:
        self._authenticator = authenticator
        self._config = config
        self._file = Path(config.revocations_file) if config.revocations_file else None
        self._file_stamp: tuple[int, int] | None = None
        self._fetching: asyncio.Task[None] | None = None

    def keep(self, now: int, revoked: Callable[[], None]) -> None:
        """Look whether anything is to be fetched, read or written; call `revoked` after new revocations were read."""
        if self._authenticator.keys.due(now) and not (self._fetching and not self._fetching.done()):
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        self._save()
        if self._read():
            revoked()

    async def _fetch(self) -> None:
        config = self._config
        try:
            self._authenticator.keys.take(await asyncio.to_thread(read, config.jwks, config.jwks_timeout_s, config.jwks_bytes_max))
        except ConfigError as error:
            self._authenticator.keys.failures += 1
            log.error("the key set cannot be had; the keys of the last time stay good", extra={"why": str(error)})

    def _save(self) -> None:
        """Add what an administrator has revoked to the file."""
        unsaved, self._authenticator.revocations.unsaved = self._authenticator.revocations.unsaved, []
        if unsaved and self._file:
            try:
                with self._file.open("ab") as file:
                    file.writelines([b"\n", *map(as_line, unsaved)])    # who edits the file may leave its last line open
            except OSError as error:
                log.error("a revocation cannot be written; it is good until the server ends", extra={"why": str(error)})

    def _read(self) -> bool:
        """Read the file if it has changed."""
        try:
            if not self._file or not self._file.exists():
                return False
            stat = self._file.stat()
            stamp = stat.st_mtime_ns, stat.st_size
            if stamp == self._file_stamp:
                return False
            self._file_stamp = stamp
            for revocation in read_lines(self._file.read_bytes()):
                self._authenticator.revocations.add(revocation)
        except (OSError, ConfigError) as error:
            log.error("the file of revocations cannot be read", extra={"file": str(self._file), "why": str(error)})
        return True

    def cancel(self) -> None:
        """Fetch no more."""
        if self._fetching:
            self._fetching.cancel()
