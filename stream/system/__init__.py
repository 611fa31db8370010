"""What every process needs of its machine: clocks, background tasks whose end is noticed, logs. Knows nothing of markets, and imports none of our rooms."""
