"""What the stream remembers beside the engine's state, in the log of all commands: a value under a key."""

import msgspec


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Something that the stream remembers: a value under a key, until another takes its place. No value takes the key away."""

    key: str
    value: bytes

    def change(self, directory: dict[str, bytes]) -> None:
        """Enter it into the directory, or take its key away."""
        if self.value:
            directory[self.key] = self.value
        else:
            directory.pop(self.key, None)


decode_entry = msgspec.msgpack.Decoder(Entry).decode
"""An entry out of its record's payload."""
