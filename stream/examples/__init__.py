"""What one does with a feed, each in a file that can be run: `python -m stream.examples.imbalance`."""
