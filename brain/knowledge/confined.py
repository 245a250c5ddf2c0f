"""Documents read in a child process that a hostile one can crash, stall or bloat at nobody's cost.

The child runs this very module. It gets one line of JSON for each file and answers with one; when it
takes too long or dies, that is the file's problem, and the next file gets a new child.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import brain
from brain.errors import DocumentError, KnowledgeError
from brain.knowledge.document import Block, Document, Section

SECONDS = 20
"""Processor time for one document; half as much again on the clock."""
MEMORY = 768_000_000
"""Bytes of address space of the child."""
LONGEST_ANSWER = 200_000_000
"""Bytes: no document of the largest size becomes so much."""

_HERE = str(Path(brain.__file__).resolve().parent.parent)
_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR")
"""The environment that the child gets: no secret is in it."""


class Reader:
    """Reads files one after another, in a child that is started when it is needed."""

    def __init__(self, *, seconds: int = SECONDS, memory: int = MEMORY) -> None:
        self._seconds = seconds
        self._memory = memory
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def read(self, file: Path, path: str, *, within: Path) -> Document:
        """The document called `path`; raises `DocumentError` for whatever is wrong with it.

        Raises `KnowledgeError` when the system has no room for a child.
        """
        request = {"file": str(file), "path": path, "within": str(within)}
        used = self._child is not None
        answer = self._ask(request)
        if "memory" in answer:
            self._end()
            # What earlier documents left behind may have been in the way.
            answer = self._ask(request) if used else answer
        if "memory" in answer:
            self._end()
            most = self._memory // 1_000_000
            raise DocumentError(f"needs more than {most} MB of memory to read; split it")
        if "problem" in answer:
            raise DocumentError(answer["problem"])
        return _document(answer["document"])

    def _ask(self, request: Mapping[str, str]) -> dict[str, Any]:
        child = self._child = self._child or self._start()
        late = threading.Event()
        alarm = threading.Timer(1.5 * self._seconds, _stop, (child, late))
        alarm.start()
        try:
            line = _exchange(child, json.dumps(request).encode() + b"\n")
        finally:
            alarm.cancel()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._end()
        raise DocumentError(_why(child.returncode, self._seconds, late=late.is_set()))

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        paths = [_HERE, *filter(None, [environment.get("PYTHONPATH")])]
        # A session of its own: Ctrl-C is for the server, which ends the child by closing the pipe.
        try:
            return subprocess.Popen(  # noqa: S603 - this very interpreter and module
                [sys.executable, "-P", "-m", __name__, str(self._seconds), str(self._memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,
            )
        except OSError as error:
            raise KnowledgeError(f"no process to read documents in: {error.strerror}") from error

    def _end(self) -> None:
        child, self._child = self._child, None
        if child:
            child.kill()
            child.communicate()


def _exchange(child: subprocess.Popen[bytes], request: bytes) -> bytes:
    """The answer to a request, without a line end when the child did not live to give it."""
    assert child.stdin  # noqa: S101 - both are pipes
    assert child.stdout  # noqa: S101
    with suppress(BrokenPipeError):
        child.stdin.write(request)
        child.stdin.flush()
    return child.stdout.readline(LONGEST_ANSWER)


def _stop(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def _why(code: int, seconds: int, *, late: bool) -> str:
    if late or code == -signal.SIGXCPU:
        return f"takes more than {seconds} s to read; split it, or save it again"
    how = signal.Signals(-code).name if code < 0 else f"exit {code}"
    return f"cannot be read: its reader crashed ({how})"


# ---- the way between the two


def _fields(document: Document) -> dict[str, Any]:
    sections = [
        [section.heading, section.metadata, [[b.kind, b.parts, b.also] for b in section.blocks]]
        for section in document.sections
    ]
    return {
        "path": document.path,
        "hash": document.hash,
        "title": document.title,
        "metadata": document.metadata,
        "missing": document.missing,
        "sections": sections,
    }


def _document(fields: Mapping[str, Any]) -> Document:
    sections = tuple(
        Section(
            heading=tuple(heading),
            metadata=metadata,
            blocks=tuple(
                Block(kind=kind, parts=tuple(parts), also=tuple(also))
                for kind, parts, also in blocks
            ),
        )
        for heading, metadata, blocks in fields["sections"]
    )
    return Document(**{**fields, "sections": sections})


# ---- in the child


def main(seconds: int, memory: int) -> None:
    """Answer one line after another until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints is no answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError):  # where a system cannot limit it, the clock still does
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for line in sys.stdin.buffer:
        _allow(seconds)
        try:
            answer = json.dumps(_answer(json.loads(line)))
        except MemoryError:
            answer = '{"memory": true}'
        answers.write(answer.encode() + b"\n")
        answers.flush()


def _allow(seconds: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(time.process_time()) + 1 + seconds
    limit = until if hard == resource.RLIM_INFINITY else min(until, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _answer(request: Mapping[str, str]) -> dict[str, Any]:
    from brain.knowledge.file import read_file

    try:
        document = read_file(Path(request["file"]), request["path"], within=Path(request["within"]))
    except DocumentError as error:
        return {"problem": str(error)}
    except OSError as error:
        return {"problem": f"cannot be read: {error.strerror or type(error).__name__}"}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a parser's bug is the document's problem
        return {"problem": f"cannot be read: {type(error).__name__} in its reader"}
    return {"document": _fields(document)}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
