"""Times and durations are in ns, times since 1970."""

MILLISECOND = 1_000_000

NEVER = 1 << 62
"""A time that does not come, in ns."""
