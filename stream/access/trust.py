"""The sources of keys and revocations: a key set behind a URL or in a file, a file of API keys, a file of revocations. This module reads, writes and waits."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import httpx

from stream.access import key_files
from stream.access.auth import Authenticator
from stream.access.keys import read_keys
from stream.access.revocations import as_line, read_lines
from stream.settings.config import Config, ConfigError
from stream.system.tasks import once

log = logging.getLogger("deltabook")


def is_this_machine(host: str) -> bool:
    """Whether a host is a loopback address, or the name of one."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def parsed(url: str) -> httpx.URL:
    """The address of a key set. Raises ConfigError unless its keys can be trusted: because of TLS, or because it is on this machine."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"jwks: {error}") from error
    if not address.host or not (address.scheme == "https" or (address.scheme == "http" and is_this_machine(address.host))):
        raise ConfigError(f"jwks {without_secrets(address)}: expected https, or http to this machine")
    return address


def without_secrets(address: httpx.URL) -> str:
    """An address as it may stand in a log: no user, password or query."""
    return str(address.copy_with(userinfo=b"", query=None))


def read_file(path: Path, bytes_max: int) -> bytes:
    """Read a file of at most `bytes_max` bytes. Raises ConfigError if that fails, or if it is not a file: reading that might block for ever."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file")
        with path.open("rb") as file:
            found = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(found) > bytes_max:
        raise ConfigError(f"{path}: expected at most {bytes_max} bytes")
    return found


class KeySource:
    """The source of a key set. httpx fetches a URL, with one deadline for the whole answer. Keys come only from that URL: redirects are not
    followed, and a URL of this machine is fetched directly, even if the environment names a proxy.
    """

    def __init__(self, config: Config) -> None:
        """Raises ConfigError for a URL whose keys could come from anyone."""
        self._config = config
        self._client: httpx.AsyncClient | None = None
        self._local = False
        if "://" in config.jwks:
            address = parsed(config.jwks)
            self._name, self._local = without_secrets(address), is_this_machine(address.host)
            self._client = httpx.AsyncClient(
                verify=ssl.create_default_context() if address.scheme == "https" else False, trust_env=not self._local, timeout=config.jwks_timeout_s,
                headers={"Accept-Encoding": "identity"}, limits=httpx.Limits(max_keepalive_connections=0),
            )

    async def read(self) -> bytes:
        """The key set as it is now. Raises ConfigError if it cannot be fetched within `jwks_timeout_s`, from the request to the last byte."""
        config = self._config
        if not self._client:
            return read_file(Path(config.jwks), config.jwks_bytes_max)
        try:
            async with asyncio.timeout(config.jwks_timeout_s):
                return await self._ask(self._client)
        except TimeoutError as error:
            raise ConfigError(f"{self._name}: the answer took too long: expected all of it within {config.jwks_timeout_s} seconds") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise ConfigError(f"{self._name}: {type(error).__name__} {error}") from error

    async def _ask(self, client: httpx.AsyncClient) -> bytes:
        async with client.stream("GET", self._config.jwks) as answer:
            if answer.status_code != 200:
                raise ConfigError(f"{self._name}: status {answer.status_code}: expected 200{'; redirects are not followed' if answer.is_redirect else ''}")
            peer = answer.extensions["network_stream"].get_extra_info("server_addr")
            if self._local and not is_this_machine(peer[0]):
                raise ConfigError(f"{self._name}: the answer came from {peer[0]}: expected this machine")
            found = bytearray()
            async for part in answer.aiter_raw():
                found += part
                if len(found) > self._config.jwks_bytes_max:
                    raise ConfigError(f"{self._name}: the answer is too long: expected at most {self._config.jwks_bytes_max} bytes")
            return bytes(found)


class Followed:
    """A file that is read again when it changes."""

    def __init__(self, path: str) -> None:
        self.path = Path(path) if path else None
        self._stamp: tuple[int, int] | None = None

    def changed(self) -> bool:
        """Whether it has changed since the last call; at first, whether it is there. Raises OSError."""
        if not self.path or not self.path.exists():
            stamp = None
        else:
            stat = self.path.stat()
            stamp = stat.st_mtime_ns, stat.st_size
        changed = stamp != self._stamp
        self._stamp = stamp
        return changed

    def read_again(self) -> None:
        """Take it for changed."""
        self._stamp = 0, -1    # no file's


class Trust:
    """Keeps the keys and revocations of an authenticator up to date. Raises ConfigError if the API keys cannot be read."""

    def __init__(self, authenticator: Authenticator, config: Config) -> None:
        self._authenticator = authenticator
        self._config = config
        self.source = KeySource(config)
        self._revocations = Followed(config.revocations_file)
        self._api_keys = Followed(config.api_keys)
        self._fetching: asyncio.Task[None] | None = None
        if self._api_keys.changed():
            self._take_api_keys()

    def keep(self, now: int, revoked: Callable[[], None]) -> None:
        """Fetch, read and write what is due. Call `revoked` after new revocations were read."""
        if (self._fetching is None or self._fetching.done()) and self._authenticator.keys.due(now):
            self._fetching = once("the key set", self._fetch())
        self._save()
        if self._read_revocations() | self._read_api_keys():
            revoked()

    async def _fetch(self) -> None:
        try:
            self._authenticator.keys.take(await self.source.read())
        except Exception as error:    # whatever it is, it must not end this task
            self._authenticator.keys.failures += 1
            log.error("the key set cannot be fetched; the last keys stay valid", extra={"why": str(error)})

    def reload(self) -> None:
        """Read key files, the key set, the API keys and the revocations again. If keys cannot be read, the old ones stay. What was revoked stays revoked."""
        try:
            self._authenticator.keys.configure(read_keys(self._config))
            log.info("the keys were read again, and the revocations will be")
        except ConfigError as error:
            log.error("the keys cannot be read again; the old keys stay valid", extra={"why": str(error)})
        self._revocations.read_again()
        self._api_keys.read_again()

    def _save(self) -> None:
        """Add what an administrator has revoked to the file."""
        unsaved, self._authenticator.revocations.unsaved = self._authenticator.revocations.unsaved, {}
        path = self._revocations.path
        if unsaved and path:
            try:
                with path.open("ab") as file:
                    file.writelines([b"\n", *map(as_line, unsaved.values())])    # someone who edits the file may leave its last line without an end
            except OSError as error:
                log.error("a revocation cannot be written to its file; it holds until the server ends", extra={"why": str(error)})

    def _read_revocations(self) -> bool:
        """Read the file of revocations if it has changed."""
        path = self._revocations.path
        try:
            if not self._revocations.changed() or not path or not path.exists():
                return False
            for revocation in read_lines(path.read_bytes()):
                self._authenticator.revocations.add(revocation)
        except (OSError, ConfigError) as error:
            log.error("the file of revocations cannot be read", extra={"file": str(path), "why": str(error)})
        return True

    def _read_api_keys(self) -> bool:
        """Read the file of API keys if it has changed."""
        try:
            if not self._api_keys.changed():
                return False
            self._take_api_keys()
        except (OSError, ConfigError) as error:
            log.error("the API keys cannot be read again; the old ones stay valid", extra={"why": str(error)})
        return True

    def _take_api_keys(self) -> None:
        """Use the API keys that are in the file now. Those that it calls revoked are revoked even if the others cannot be used."""
        found = key_files.read_keys(self._config)
        for revocation in found.revoked:
            self._authenticator.revocations.add(revocation)
        self._authenticator.api_keys.take(found.keys, key_files.read_master(self._config))

    def cancel(self) -> None:
        """Fetch no more."""
        if self._fetching:
            self._fetching.cancel()
