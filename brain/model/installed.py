"""Which of the models that a server has installed talks to customers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

# Best Korean first; a name counts for the first word that it contains.
PREFERRED = (
    *("exaone", "kanana", "midm", "a.x-", "hyperclova", "qwen3", "gemma4", "gemma3", "solar"),
    *("llama4", "llama3", "llama-3", "mistral", "gemma2", "qwen2.5", "aya", "command-r", "phi4"),
)
SPECIALISTS = ("coder", "codellama", "math", "translate", "functiongemma", "medgemma")
"""Can talk, if there is nobody else."""
MUTE = ("embed", "bge-", "minilm", "e5-", "bert", "rerank", "guard", "shield", "ocr", "whisper")
"""Embed, rank, judge or transcribe, but do not talk."""
COMFORTABLE = range(1_500_000_000, 12_000_000_000)
"""Bytes of a model that writes decent sentences and still fits an ordinary machine."""


def named(wanted: str, installed: Mapping[str, int]) -> str:
    """The installed model of that name, with or without `:latest`; empty if there is none."""
    tagged = ":" in wanted.rsplit("/", 1)[-1]
    names = {wanted.lower(), wanted.lower() if tagged else f"{wanted.lower()}:latest"}
    return next((name for name in installed if name.lower() in names), "")


def best(installed: Mapping[str, int]) -> str:
    """The installed model (name and bytes) that serves customers best; empty if none can talk.

    Of equally good ones the larger. A model in somebody's cloud, which Ollama lists like any other, is
    never chosen: what customers write stays on the company's machines unless one is configured by name.
    """

    def order(name: str) -> tuple[bool, bool, int, int]:
        base = name.lower().rsplit("/", 1)[-1]
        specialist = any(word in base for word in SPECIALISTS)
        rank = next((i for i, word in enumerate(PREFERRED) if word in base), len(PREFERRED))
        return specialist, installed[name] not in COMFORTABLE, rank, -installed[name]

    local = [name for name in installed if not name.endswith("cloud")]
    return min((n for n in local if not any(m in n.lower() for m in MUTE)), key=order, default="")


async def listens(host: str) -> bool:
    """False if the machine says at once that nobody listens there.

    Asked before the client is loaded, which takes a third of a second that a quoted answer saves.
    """
    try:
        about = urlsplit(host)
        if not (about.hostname and about.port):
            return True  # the client knows what that means
        async with asyncio.timeout(0.5):
            _, writer = await asyncio.open_connection(about.hostname, about.port)
        writer.close()
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError, TimeoutError):
        return True
    return True


def refused(failure: BaseException) -> bool:
    """Whether the machine answered at once that nobody listens there."""
    cause: BaseException | None = failure
    while cause is not None and not isinstance(cause, ConnectionRefusedError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
