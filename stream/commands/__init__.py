"""What goes to the engine and what comes of it, as records: results, entries that the stream remembers beside the engine, and forwarded groups."""
