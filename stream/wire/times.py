"""Times and durations are in ns. Times count from 1970."""

MILLISECOND = 1_000_000

NEVER = 1 << 62
"""A time that never comes, in ns."""
