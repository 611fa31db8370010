"""What is asked of the engine and what came of it, as records: results, what a stream remembers beside the engine, and groups that another process forwards."""
