"""An Ollama server on loopback that answers as told, faults included; by hand: `python tests/wire/ollama_server.py`."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any, Literal, Self

from aiohttp import ClientConnectionResetError, web

Fault = Literal[
    "",
    "error",  # an error object in the middle, under status 200
    "stall",  # open, and silent
    "close",  # a well-formed end of the stream, but never `done`
    "drop",  # the connection ends in the middle of the body
    "reset",  # the same with RST
    "malformed",  # a line that is not JSON
    "endless",  # the reply over and over, whatever `num_predict` says
]
Packing = Literal[
    "lines",  # one object in a packet
    "joined",  # two objects in a packet
    "split",  # objects cut in two, within a character where there is one of several bytes
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How one chat request is answered."""

    reply: str | Callable[[Sequence[Mapping[str, Any]]], str] = "네, 고객님. 무엇을 도와드릴까요?"
    """The words, or what makes them from the request's messages."""
    first_delay: float = 0.0
    """Seconds before the first token."""
    delay: float = 0.0
    """Seconds before every other one."""
    status: int = 200
    """HTTP status; from 400 on `error` is the body."""
    error: str = "llama runner process has terminated: CUDA error: out of memory"
    """Text of an error object."""
    fault: Fault = ""
    """What goes wrong."""
    after: int = 3
    """Tokens before it does."""
    packing: Packing = "lines"
    """How objects lie in packets."""
    refuses_think: bool = False
    """Whether a request that says anything about thinking is refused with 400."""


@dataclass(slots=True, kw_only=True)
class Request:
    """A chat request as it came, and how it ended."""

    body: Mapping[str, Any]
    """The JSON document."""
    tokens: int = 0
    """Tokens written."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client went away before the end."""

    @property
    def messages(self) -> Sequence[Mapping[str, str]]:
        """What the model was given."""
        return list(self.body["messages"])

    @property
    def options(self) -> Mapping[str, Any]:
        """num_ctx, num_predict ..."""
        return self.body.get("options") or {}


class OllamaServer:
    """`async with OllamaServer() as server: Model(host=server.host)`; change its public fields at any time."""

    def __init__(self, *models: str, script: Script | None = None, port: int = 0) -> None:
        self.models: dict[str, int] = dict.fromkeys(models or ("qwen3:8b",), 5_200_000_000)
        """Installed models with their bytes."""
        self.able = ["completion", "tools", "thinking"]
        """What the models can do, as `show` tells; `vision` for those that take pictures."""
        self.script = script or Script()
        """How chat requests are answered."""
        self.scripts: dict[str, Script] = {}
        """The same for certain models."""
        self.queue: list[Script] = []
        """Scripts of the next requests, each used once, before all others."""
        self.load_seconds = 0.0
        """Seconds that loading takes; it is given up when the one who asked goes away."""
        self.loaded: dict[str, int] = {}
        """Models in memory, with their num_ctx."""
        self.has_loaded = asyncio.Event()
        """Set when a load has ended well."""
        self.loads_given_up = 0
        """Loads that nobody waited for."""
        self.chats: list[Request] = []
        """Chat requests for an answer, in order."""
        self.reads: list[Request] = []
        """Those for a single token: the prompt is to be read, and kept in mind."""
        self.listed = 0
        """How often the models were listed."""
        self.host = ""
        """`http://127.0.0.1:PORT`, known once it has started."""
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.add_routes(
            [
                web.get("/", self._root),
                web.get("/api/version", self._version),
                web.get("/api/tags", self._tags),
                web.get("/api/ps", self._ps),
                web.post("/api/show", self._show),
                web.post("/api/chat", self._chat),
                web.post("/api/generate", self._generate),
                web.post("/api/embed", self._embed),
            ]
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.host = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _root(self, _: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.13.5"})

    async def _tags(self, _: web.Request) -> web.Response:
        self.listed += 1
        return web.json_response({"models": [self._listed(name) for name in self.models]})

    async def _ps(self, _: web.Request) -> web.Response:
        until = datetime.now(UTC) + timedelta(minutes=30)
        return web.json_response(
            {
                "models": [
                    {
                        **self._listed(name),
                        "expires_at": until.isoformat(),
                        "size_vram": 0,
                        "context_length": num_ctx,
                    }
                    for name, num_ctx in self.loaded.items()
                ]
            }
        )

    async def _show(self, request: web.Request) -> web.Response:
        name = self._installed((await request.json())["model"])
        if name is None:
            return _error(404, "model not found")
        return web.json_response(
            {
                "license": "Apache License 2.0",
                "modelfile": f"FROM {name}",
                "parameters": "temperature 0.6",
                "template": "{{ .Prompt }}",
                "details": self._listed(name)["details"],
                "model_info": {
                    "general.architecture": "qwen3",
                    "general.parameter_count": 8_190_735_360,
                    "qwen3.context_length": 40_960,
                },
                "capabilities": self.able,
                "modified_at": "2026-01-05T09:00:00+09:00",
            }
        )

    async def _embed(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = self._installed(body["model"])
        if name is None:
            return _error(404, f"model '{body['model']}' not found")
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        return web.json_response(
            {
                "model": body["model"],
                "embeddings": [_vector(text) for text in texts],
                "total_duration": 14_143_917,
                "load_duration": 1_019_500,
                "prompt_eval_count": sum(map(_count, texts)),
            }
        )

    async def _generate(self, request: web.Request) -> web.Response:
        """Without a prompt it only loads the model, and that is all this server knows of it."""
        body = await request.json()
        name = self._installed(body["model"])
        if name is None:
            return _error(404, f"model '{body['model']}' not found")
        await self._load(name, body)
        return web.json_response(
            {**_head(name), "response": "", "done": True, "done_reason": "load"}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        name = self._installed(body["model"])
        if name is None:
            return _error(404, f"model '{body['model']}' not found")
        chat = Request(body=body)
        script = self.scripts.get(name, self.script)
        if chat.options.get("num_predict") == 1:
            self.reads.append(chat)
        else:
            self.chats.append(chat)
            script = self.queue.pop(0) if self.queue else script
        if script.refuses_think and "think" in body:
            return _error(400, f'"{name}" does not support thinking')
        if script.status >= 400:
            return _error(script.status, script.error)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        try:
            load = await self._load(name, body)
            await asyncio.sleep(script.first_delay)
            await response.prepare(request)
            async for packet in _packed(script, self._lines(name, chat, script, load)):
                await response.write(packet)
                # Otherwise the kernel may hand two packets over as one.
                await asyncio.sleep(0.002 if script.packing == "split" else 0)
            await self._end(script, request)
            await response.write_eof()
        except ClientConnectionResetError:
            chat.left.set()
        except asyncio.CancelledError:
            chat.left.set()
            raise
        return response

    async def _lines(
        self, name: str, chat: Request, script: Script, load: float
    ) -> AsyncIterator[bytes]:
        reply = script.reply(chat.messages) if callable(script.reply) else script.reply
        pieces: Any = re.findall(r"\s{0,2}\S{1,3}|\s{1,3}", reply)
        endless = script.fault == "endless"
        limit = chat.options.get("num_predict", -1)
        wanted = len(pieces) if limit < 0 else min(limit, len(pieces))
        if endless:
            pieces, wanted = chain.from_iterable(repeat(pieces)), -1
        for piece in pieces:
            if chat.tokens == wanted or (
                script.fault and not endless and chat.tokens >= script.after
            ):
                break
            if chat.tokens:
                await asyncio.sleep(script.delay)
            chat.tokens += 1
            yield _line({**_head(name), "message": _words(piece), "done": False})
        if script.fault == "error":
            yield _line({"error": script.error})
        elif script.fault == "malformed":
            yield b'{"model":"' + name.encode() + b'","message":{"role":"assist\n'
        if script.fault:
            return
        prompt = sum(_count(message["content"]) + 4 for message in chat.messages)
        yield _line(
            {
                **_head(name),
                "message": _words(""),
                "done": True,
                "done_reason": "stop" if wanted == len(pieces) else "length",
                "total_duration": int((load + 0.5) * 1e9),
                "load_duration": int(load * 1e9) or 31_000_000,
                "prompt_eval_count": min(prompt, chat.options.get("num_ctx", 4096)),
                "prompt_eval_duration": 240_000_000,
                "eval_count": chat.tokens,
                "eval_duration": 230_000_000,
            }
        )

    async def _end(self, script: Script, request: web.Request) -> None:
        transport = request.transport
        if script.fault == "stall":
            await asyncio.Event().wait()
        if script.fault not in ("drop", "reset") or transport is None:
            return
        await asyncio.sleep(0.02)  # what was written goes out first
        if script.fault == "reset":
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
            transport.abort()
        else:
            transport.close()

    async def _load(self, name: str, body: Mapping[str, Any]) -> float:
        """Seconds that loading took; another num_ctx loads the model anew, as in the real server."""
        num_ctx = (body.get("options") or {}).get("num_ctx", 4096)
        if self.loaded.get(name) == num_ctx:
            return 0.0
        try:
            await asyncio.sleep(self.load_seconds)
        except asyncio.CancelledError:
            self.loads_given_up += 1
            raise
        self.loaded[name] = num_ctx
        self.has_loaded.set()
        return self.load_seconds

    def _installed(self, name: str) -> str | None:
        return next((n for n in (name, f"{name}:latest") if n in self.models), None)

    def _listed(self, name: str) -> dict[str, Any]:
        family = re.split(r"[-:.\d]", name.rsplit("/", 1)[-1])[0]
        return {
            "name": name,
            "model": name,
            "modified_at": "2026-01-05T09:00:00.123456789+09:00",
            "size": self.models[name],
            "digest": hashlib.sha256(name.encode()).hexdigest(),
            "details": {
                "parent_model": "",
                "format": "gguf",
                "family": family,
                "families": [family],
                "parameter_size": "8.2B",
                "quantization_level": "Q4_K_M",
            },
        }


async def _packed(script: Script, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    waiting = b""
    async for line in lines:
        if script.packing == "lines":
            yield line
        elif script.packing == "joined":
            waiting += line
            if waiting.count(b"\n") == 2:
                yield waiting
                waiting = b""
        else:
            wide = next((i for i, byte in enumerate(line) if byte >= 0x80), len(line) // 2)
            yield line[: wide + 1]
            yield line[wide + 1 :]
    if waiting:
        yield waiting


def _head(name: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return {"model": name, "created_at": f"{now}123Z"}


def _words(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _count(text: str) -> int:
    """Tokens, roughly."""
    return len(text) // 2 + 1


def _vector(text: str) -> list[float]:
    """A unit vector of 16 numbers that depends on the text alone."""
    numbers = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:16]]
    length = sum(n * n for n in numbers) ** 0.5
    return [n / length for n in numbers]


async def _serve(options: argparse.Namespace) -> None:
    script = Script(reply=options.reply, delay=options.delay, first_delay=options.first_delay)
    async with OllamaServer(*options.model, script=script, port=options.port) as server:
        print(server.host, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=11434, help="0: any free port")
    parser.add_argument("--model", action="append", default=[], help="installed model; repeatable")
    parser.add_argument("--reply", default=Script().reply, help="what it answers, always")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds between tokens")
    parser.add_argument("--first-delay", type=float, default=0.2, help="seconds before the first")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))
