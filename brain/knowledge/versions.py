"""The folder of index versions: what each holds, which one serves, who may write.

A version is a folder: `chunks.jsonl`, `vectors.npy` (one row a piece), `bm25/`, `chroma/`, and
`manifest.json`, written last. `live` beside the versions names the one that serves.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version as installed
from pathlib import Path

from brain.errors import IndexBusy, KnowledgeError
from brain.knowledge import chunk as chunking

FORMAT = 1
"""Of the version folder: one of another format is rebuilt, never converted."""
MANIFEST = "manifest.json"
LIVE = "live"
VECTORS = "vectors.npy"
SEAL = "sealed"
_NAME = re.compile(r"v\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a version holds and what it was made with."""

    version: str
    """Its name, `v000001` and up."""
    created: datetime
    """Aware time it was made."""
    previous: str
    """The version that served before it, where a rollback goes; empty for the first."""
    embedder: str
    """Fingerprint of the embedder: vectors of another are not comparable."""
    kiwi: bool
    """Whether morphemes are indexed beside bigrams."""
    documents: Mapping[str, str]
    """Hash of every document by its path."""
    chunks: int
    """Number of passages."""
    pieces: int
    """Number of vectors."""
    checksums: Mapping[str, int]
    """CRC-32 by path of the files that must be intact before anything opens them."""
    format: int = FORMAT
    """Layout of the folder."""
    chunker: int = chunking.VERSION
    """How documents were cut."""
    engine: str = ""
    """Version of Chroma: its files are not opened by another one."""

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest in `folder`; `KnowledgeError` when there is none or it is of another format."""
        try:
            document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if document.get("format") != FORMAT:
                raise KnowledgeError(f"index {folder.name} was made by another version of Sangdam")
            document["created"] = datetime.fromisoformat(document["created"])
            return cls(**document)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise KnowledgeError(f"index {folder.name} has no readable manifest") from error

    def write(self, folder: Path) -> None:
        """Complete the version in `folder`."""
        document = asdict(self) | {"created": self.created.isoformat()}
        text = json.dumps(document, ensure_ascii=False, indent=1)
        (folder / MANIFEST).write_text(text, encoding="utf-8")


def engine() -> str:
    """The installed Chroma, without importing it."""
    return f"chromadb {installed('chromadb')}"


# ---- what is intact


def checksums(folder: Path) -> dict[str, int]:
    """CRC-32 of every file that later reads leave as it is.

    Chroma touches its SQLite file on every opening, and rebuilds a graph that it never had to save.
    """
    files = [folder / "chunks.jsonl", folder / VECTORS, *sorted((folder / "bm25").rglob("*"))]
    for saved in sorted((folder / "chroma").glob("*/index_metadata.pickle")):
        files.extend(sorted(saved.parent.iterdir()))
    return {
        file.relative_to(folder).as_posix(): _checksum(file) for file in files if file.is_file()
    }


def damaged(folder: Path, manifest: Manifest, *parts: str) -> str:
    """The first file of `parts` (beginnings of paths) that is not as it was made; empty if all are."""
    for path, wanted in manifest.checksums.items():
        if path.startswith(parts):
            try:
                intact = _checksum(folder / path) == wanted
            except OSError:
                intact = False
            if not intact:
                return path
    return ""


def seal(folder: Path) -> None:
    """Note Chroma's SQLite file as it is now, after a clean end."""
    with suppress(OSError):
        (folder / SEAL).write_text(str(_checksum(_database(folder))), encoding="utf-8")


def is_sealed(folder: Path) -> bool:
    """Whether Chroma's SQLite file is as the last clean end left it: nobody died over it since."""
    database = _database(folder)
    if any(database.parent.glob(f"{database.name}-*")):
        return False
    try:
        return (folder / SEAL).read_text(encoding="utf-8") == str(_checksum(database))
    except (OSError, UnicodeDecodeError):
        return False


def _database(folder: Path) -> Path:
    return folder / "chroma" / "chroma.sqlite3"


def _checksum(file: Path) -> int:
    checksum = 0
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def safe_to_open(folder: Path) -> bool:
    """Whether a version may be opened here at once: others have it open, or nobody died over it."""
    try:
        reading = Reading(folder)
    except OSError:
        return True  # opening it will say what is wrong
    sound = not reading.alone or is_sealed(folder)
    reading.end()
    return sound


class Reading:
    """The lock that readers of a version share, so that the last one to end knows that it is."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError when the folder cannot be written to."""
        self._file = (folder / "readers").open("w")
        self.alone = self._lock(fcntl.LOCK_EX)
        """Whether no other process or library reads the version."""
        self._lock(fcntl.LOCK_SH)

    def end(self) -> bool:
        """Give the lock up; whether it was the last."""
        last = self._lock(fcntl.LOCK_EX)
        self._file.close()
        return last

    def _lock(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


# ---- which version serves


@contextmanager
def only_writer(home: Path) -> Iterator[None]:
    """Hold the lock of the index folder; `IndexBusy` at once when any process holds it."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise IndexBusy("another reload is under way; try again when it is done") from error
    except OSError as error:
        raise KnowledgeError(f"the index in {home} cannot be written: {error.strerror}") from error


def live_version(home: Path) -> str:
    """Name of the version that serves, empty when there is none."""
    try:
        name = (home / LIVE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return name if _NAME.fullmatch(name) else ""


def switch_live(home: Path, version: str) -> None:
    """Make `version` the one that serves: readers see the old name or the new one, nothing between."""
    fresh = home / f"{LIVE}.new"
    with fresh.open("w", encoding="utf-8") as file:
        file.write(version + "\n")
        file.flush()
        os.fsync(file.fileno())
    if (home / LIVE).is_dir():
        remove(home / LIVE)
    fresh.replace(home / LIVE)


def versions(home: Path) -> list[str]:
    """Complete versions on disk, oldest first."""
    return sorted(file.parent.name for file in home.glob(f"v*/{MANIFEST}"))


def remove(path: Path) -> None:
    """Remove a file or folder, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def next_name(home: Path) -> str:
    """A name for a new version, behind every folder there is."""
    numbers = [int(file.name[1:]) for file in home.glob("v*") if file.name[1:].isdecimal()]
    return f"v{max(numbers, default=0) + 1:06d}"


def older(home: Path, version: str) -> list[str]:
    """The versions that `version` followed, newest first, as far as they are on disk.

    Of one whose manifest is lost, all the others.
    """
    line: list[str] = []
    try:
        version = Manifest.read(home / version).previous
    except KnowledgeError:
        return [other for other in reversed(versions(home)) if other != version]
    with suppress(KnowledgeError):
        while version and version not in line:
            previous = Manifest.read(home / version).previous
            line.append(version)
            version = previous
    return line


def retire(home: Path, live: str, kept: int) -> None:
    """Remove all but the live version and those that it followed, `kept` in all."""
    keep = {live, *older(home, live)[: kept - 1]}
    for folder in home.glob("v*"):
        if folder.name not in keep:
            remove(folder)


def stamps(*files: Path) -> object:
    """Differs whenever one of the files was replaced or written."""
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_ino
