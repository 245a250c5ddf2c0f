"""Runs a module of ours in a process of its own: what it does to itself costs nobody an answer."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import brain
from brain.errors import KnowledgeError

_HERE = str(Path(brain.__file__).resolve().parent.parent)


async def run_child(module: str, *arguments: str, seconds: float | None = None) -> None:
    """Run `python -m module`; `KnowledgeError` with its last words when it fails or takes too long.

    A cancelled caller takes the child along.
    """
    # The child finds this very package, installed or not, and nothing of the current folder (-P).
    paths = [_HERE, *filter(None, [os.environ.get("PYTHONPATH")])]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", module),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        async with asyncio.timeout(seconds):
            _, words = await child.communicate()
    except BaseException as end:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        if isinstance(end, TimeoutError):
            raise KnowledgeError(f"no answer within {seconds:.0f} s") from None
        raise
    if child.returncode:
        last = words.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise KnowledgeError(f"exit {child.returncode}: {last[0][:300]}")
