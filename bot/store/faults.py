"""What SQLite complains about, as something an operator can act on."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from brain.errors import StoreError

NOT_OURS = (
    "{path} is not a Sangdam database, or is damaged: "
    "restore a backup, or move it away and start with an empty one"
)
_FAULTS = {
    "SQLITE_NOTADB": NOT_OURS,
    "SQLITE_CORRUPT": NOT_OURS,
    "SQLITE_FULL": "no room left for {path}: free space on its disk",
    "SQLITE_BUSY": "{path} is locked by another program: stop it, or try again when it is done",
    "SQLITE_READONLY": "{path} may not be written: check the owner of the file and of its folder",
    "SQLITE_CANTOPEN": "{path} cannot be opened: check the owner of the file and of its folder",
    "SQLITE_PERM": "{path} may not be read: check the owner of the file and of its folder",
    "SQLITE_IOERR": "the disk fails under {path}: check it, then restore a backup if need be",
}


def explained(error: Exception, path: Path) -> StoreError | None:
    """What to do about an error of the database at `path`; None for a bug."""
    fault = _FAULTS.get(code(error))
    return None if fault is None else StoreError(fault.format(path=path))


def code(error: Exception) -> str:
    """SQLite's primary name of what went wrong, such as `SQLITE_IOERR`; empty if it was not SQLite."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return "_".join(getattr(cause, "sqlite_errorname", "").split("_")[:2])
