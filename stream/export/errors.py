"""Why something cannot be exported."""

from decimal import Decimal

from stream.settings.config import ConfigError


class ExportError(ConfigError):
    """There is nothing to export, a library is missing, or a format cannot hold what there is."""


def units_of(step: Decimal, unit: Decimal, of: str) -> int:
    """How many of a format's units a tick or a lot is. Raises ExportError if that is not a whole number."""
    units = step / unit
    if units != int(units):
        raise ExportError(f"{of}: expected a multiple of {unit}, got {step}; Parquet holds any tick and any lot")
    return int(units)
