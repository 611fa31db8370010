"""Which format a file's name asks for."""

from importlib import import_module
from pathlib import Path

from stream.export.errors import ExportError
from stream.export.terms import ExportTerms, Writer

FORMATS = {".csv": "lobster", ".dbn": "dbn", ".dbn.zst": "dbn", ".npz": "hftbacktest", ".parquet": "parquet"}
CLASSES = {"lobster": "LobsterWriter", "dbn": "DbnWriter", "hftbacktest": "HftbacktestWriter", "parquet": "ParquetWriter"}


def writer_of(path: Path, terms: ExportTerms, levels: int) -> Writer:
    """A writer of the format that the suffix names; `levels` are LOBSTER's. Raises ExportError for another suffix, a missing library, or an impossible tick."""
    name = next((name for suffix, name in FORMATS.items() if path.name.endswith(suffix)), None)
    if name is None:
        raise ExportError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")
    try:
        writer = getattr(import_module(f"stream.export.{name}"), CLASSES[name])
    except ImportError as error:
        raise ExportError(f"{path}: this format needs {error.name}, which is not installed: pip install 'deltabook[export]'") from None
    made: Writer = writer(path, terms, levels) if name == "lobster" else writer(path, terms)
    return made
