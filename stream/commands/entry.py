"""Entries: what the stream remembers beside the engine's state, in the log of all commands. Each is a value under a key."""

import msgspec


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A value under a key that the stream remembers, until another value replaces it. An empty value removes the key."""

    key: str
    value: bytes

    def change(self, directory: dict[str, bytes]) -> None:
        """Put it into the directory, or remove its key."""
        if self.value:
            directory[self.key] = self.value
        else:
            directory.pop(self.key, None)


decode_entry = msgspec.msgpack.Decoder(Entry).decode
"""An entry out of its record's payload."""
