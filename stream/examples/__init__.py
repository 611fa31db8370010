"""Examples of what to do with a feed. Each is a file that you can run: `python -m stream.examples.imbalance`."""
