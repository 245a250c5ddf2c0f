"""The model: streams an answer from an Ollama server and turns everything that can go wrong there into a `ModelError`."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from brain.errors import ModelBroken, ModelBusy, ModelError, ModelStalled, ModelUnavailable
from brain.model import installed
from brain.model.asked import Asked, Completion, Form
from brain.model.breaker import Breaker
from brain.model.stream import Writing

if TYPE_CHECKING:
    import ollama

log = logging.getLogger(__name__)

Write = Callable[[str], None]

FOUND_FOR, AWAKE_FOR = 30.0, 60.0
"""Seconds for which a model that was found is taken to be there still; one that spoke, in memory."""
LONGEST_LOAD = 300.0
"""Seconds after which a load counts as lost, as with the server itself."""
BUSY_WAITS = (0.3, 0.8)
"""Seconds, give or take a half, before a busy server is asked again."""
SUGGESTED = "qwen3:8b"
"""What an operator without any model is told to pull."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait, in seconds."""

    connect: float = 2.0
    """For the server to take a connection; the list of its models may take twice that."""
    first_token: float = 60.0
    """For the first token: loading the model and reading the prompt."""
    silence: float = 15.0
    """Between two tokens."""
    total: float = 120.0
    """For the whole answer, retries and the fallback model included."""


class _Unreachable(ModelUnavailable):
    """Nobody answers, and it took time to find out: worth sparing."""


class _ThinkingUnknown(ModelBroken):
    """The model refuses to be told about thinking."""


_COUNTED = (_Unreachable, ModelBusy, ModelStalled, ModelBroken)


class Model:
    """A model on an Ollama server, which may come and go while we run."""

    def __init__(
        self,
        *,
        host: str,
        name: str = "auto",
        num_ctx: int = 8192,
        num_predict: int = 768,
        temperature: float = 0.3,
        keep_alive: str = "30m",
        timeouts: Timeouts = Timeouts(),
        fallback: str = "",
    ) -> None:
        self._host, self._name, self._fallback = host, name, fallback
        self._options = {"num_ctx": num_ctx, "num_predict": num_predict, "temperature": temperature}
        self._keep_alive, self._timeouts = keep_alive, timeouts
        self._found = ("", 0.0)
        self._server = Breaker(*_COUNTED)
        self._breakers = defaultdict[str, Breaker](partial(Breaker, *_COUNTED))
        self._unthinking: set[str] = set()
        self._sighted: dict[str, bool] = {}
        self._awake: dict[str, float] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._warming: asyncio.Task[None] | None = None
        self._opened: ollama.AsyncClient | None = None

    async def find(self) -> str:
        """The name of the model to use now; `ModelUnavailable` when there is no server or no model."""
        name, until = self._found
        if time.monotonic() < until:
            return name
        with self._server.guard(self._host):
            there = await self._list()
        for wanted in filter(None, (self._name, self._fallback)):
            name = installed.best(there) if wanted == "auto" else installed.named(wanted, there)
            if name and wanted == self._name:
                self._found = name, time.monotonic() + FOUND_FOR
            if name:
                return name
        wanted = SUGGESTED if self._name == "auto" else self._name
        missing = "no model to talk with" if self._name == "auto" else f"no model {wanted}"
        raise ModelUnavailable(f"{self._host} has {missing}: run `ollama pull {wanted}`")

    async def generate(
        self, messages: Sequence[Mapping[str, Any]], *, write: Write, form: Form | None = None
    ) -> Completion:
        """The model's answer to `messages`; `write` gets each piece as it comes. `form`: not words, JSON.

        Raises a `ModelError`: Unavailable, Busy, Stalled or Broken. A second model, if configured, is
        tried once when the first fails before anything was written. Cancelling stops the server too.
        """
        deadline = asyncio.get_running_loop().time() + self._timeouts.total
        strict = {"temperature": 0.0, "num_predict": form.longest} if form else {}
        asked = Asked(
            messages=messages,
            options=self._options | strict,
            schema=form.schema if form else None,
        )
        shown = False

        def show(piece: str) -> None:
            nonlocal shown
            shown = True
            write(piece)

        name = await self.find()
        try:
            return await self._attempt(name, asked, show, deadline)
        except ModelError as failure:
            if shown or self._fallback in ("", name) or isinstance(failure, _Unreachable):
                raise
            log.warning("model %s failed (%s): trying %s", name, failure, self._fallback)
        return await self._attempt(self._fallback, asked, show, deadline)

    async def read(self, messages: Sequence[Mapping[str, Any]]) -> Completion:
        """Has the server read `messages`, of which a prompt that begins as they do profits later.

        Raises a `ModelError` as `generate` does, except for an answer without words; and at once
        after a failure, as the next try belongs to a customer.
        """
        deadline = asyncio.get_running_loop().time() + self._timeouts.total
        asked = Asked(messages=messages, options=self._options | {"num_predict": 1}, schema=None)
        name = await self.find()
        if self._breakers[name].doubtful:
            raise ModelUnavailable(f"model {name} failed last: nothing is read ahead")
        with self._breakers[name].guard(f"model {name}"):
            return await self._patiently(name, asked, lambda piece: None, deadline)

    async def sees(self) -> bool:
        """Whether the model in use takes pictures; False while nobody can say."""
        with suppress(TimeoutError, ModelError):
            name = await self.find()
            if name not in self._sighted:
                async with asyncio.timeout(2 * self._timeouts.connect):
                    with self._faults(name):
                        shown = await self._client().show(name)
                self._sighted[name] = "vision" in (shown.capabilities or ())
            return self._sighted[name]
        return False

    async def warm(self) -> None:
        """Starts to load the model and returns; the load has no deadline, its failure is only logged."""
        if self._warming is None or self._warming.done():
            self._warming = asyncio.create_task(self._warm_up())

    async def close(self) -> None:
        """Stops loading and closes the connections."""
        tasks = [*self._loads.values(), *filter(None, [self._warming])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._opened is not None:
            await self._opened.close()  # type: ignore[no-untyped-call] # the client has no types here
            self._opened = None

    async def _attempt(self, name: str, asked: Asked, write: Write, deadline: float) -> Completion:
        with self._breakers[name].guard(f"model {name}"):
            said = await self._patiently(name, asked, write, deadline)
        if not said.text:
            # The server did well, so the breaker does not count it.
            raise ModelBroken(f"model {name} wrote no usable answer")
        return said

    async def _patiently(
        self, name: str, asked: Asked, write: Write, deadline: float
    ) -> Completion:
        """Asks again while the server refuses, which it can do only before the first token."""
        for wait in BUSY_WAITS:
            try:
                return await self._answer(name, asked, write, deadline)
            except ModelBusy:
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            except _ThinkingUnknown:
                self._unthinking.add(name)
        return await self._answer(name, asked, write, deadline)

    async def _answer(self, name: str, asked: Asked, write: Write, deadline: float) -> Completion:
        began = time.perf_counter()
        await self._wake(name, deadline)
        loaded = time.perf_counter()
        first_token_ms = 0.0
        tokens = 0
        last: ollama.ChatResponse | None = None
        writing = Writing()
        async with aclosing(self._parts(name, asked, deadline)) as parts:
            async for last in parts:
                if not tokens:
                    first_token_ms = (time.perf_counter() - began) * 1000
                    self._breakers[name].speaks()
                    self._awake[name] = time.monotonic() + AWAKE_FOR
                tokens += 1
                if piece := writing.add(last.message.content or ""):
                    write(piece)
                if writing.ended or tokens > asked.options["num_predict"] + 1:
                    break  # closes the connection, which stops the server
        if rest := writing.finish():
            write(rest)
        assert last is not None  # noqa: S101 - `_parts` yields something or raises
        return Completion(
            text=writing.text.strip(),
            model=name,
            prompt_tokens=last.prompt_eval_count,
            reply_tokens=last.eval_count if last.done else tokens,
            cut=writing.ran_away
            or last.done_reason == "length"
            or not (last.done or writing.ended),
            load_ms=(loaded - began) * 1000 + (last.load_duration or 0) / 1e6,
            first_token_ms=first_token_ms,
        )

    async def _parts(
        self, name: str, asked: Asked, deadline: float
    ) -> AsyncGenerator[ollama.ChatResponse, None]:
        """The objects of the stream, up to the one that says that it is done."""
        stream = await self._client().chat(
            name,
            messages=asked.messages,
            stream=True,
            think=None if name in self._unthinking else False,
            format=asked.schema,
            options=asked.options,
            keep_alive=self._keep_alive,
        )
        now = asyncio.get_running_loop().time
        patience, what = self._timeouts.first_token, "said nothing"
        async with aclosing(stream):  # type: ignore[type-var] # declared as an iterator, is a generator
            while True:
                try:
                    with self._faults(name):
                        async with asyncio.timeout_at(min(now() + patience, deadline)):
                            part = await anext(stream, None)
                except TimeoutError:
                    if what == "said nothing":
                        self._awake.pop(name, None)
                        self._loading(name)
                    if now() >= deadline:
                        patience, what = self._timeouts.total, "did not finish"
                    raise ModelStalled(f"model {name} {what} for {patience:g} s") from None
                if part is None:
                    raise ModelBroken(f"model {name}: the stream ended before it was done")
                yield part
                if part.done:
                    # Reading to the very end keeps the connection for the next request.
                    with suppress(TimeoutError, ModelError), self._faults(name):
                        async with asyncio.timeout(0.1):
                            await anext(stream, None)
                    return
                patience, what = self._timeouts.silence, "fell silent"

    async def _list(self) -> dict[str, int]:
        """The models that the server has, with their sizes in bytes."""
        if self._opened is None and not await installed.listens(self._host):
            raise ModelUnavailable(f"no Ollama server at {self._host}")
        try:
            with self._faults(self._host):
                async with asyncio.timeout(2 * self._timeouts.connect):
                    models = (await self._client().list()).models
        except TimeoutError:
            raise _Unreachable(f"{self._host} does not list its models in time") from None
        except ModelBroken as failure:
            raise _Unreachable(f"{self._host} does not list its models: {failure}") from failure
        return {model.model: int(model.size or 0) for model in models if model.model}

    async def _wake(self, name: str, deadline: float) -> None:
        """Sees to it that the model is in memory before it is asked.

        A server gives up loading when the one who asked for it goes away. So the one who asks for it is
        a task that stays: a customer who could not wait leaves a model that is ready for the next one.
        """
        if time.monotonic() < self._awake.get(name, 0.0) or await self._in_memory(name):
            return
        patience = min(self._timeouts.first_token, deadline - asyncio.get_running_loop().time())
        loaded, _ = await asyncio.wait({self._loading(name)}, timeout=patience)
        if not loaded:
            raise ModelStalled(f"model {name} is still loading after {patience:.3g} s")

    def _loading(self, name: str) -> asyncio.Task[None]:
        if name not in self._loads:
            self._loads[name] = asyncio.create_task(self._load(name))
            self._loads[name].add_done_callback(lambda _: self._loads.pop(name))
        return self._loads[name]

    async def _in_memory(self, name: str) -> bool:
        """Whether the model is there or on its way; also when the server does not tell."""
        try:
            with self._faults(name):
                async with asyncio.timeout(2 * self._timeouts.connect):
                    models = (await self._client().ps()).models
        except (TimeoutError, ModelError):
            return True  # the request itself will meet what is wrong, and report it
        # Another size of the context makes the server load the model anew.
        size = self._options["num_ctx"]
        fitting = {m.model: 0 for m in models if m.model and m.context_length in (None, size)}
        return bool(installed.named(name, fitting))

    async def _load(self, name: str) -> None:
        try:
            with self._faults(name):
                async with asyncio.timeout(LONGEST_LOAD):
                    await self._client().generate(
                        name, options=self._options, keep_alive=self._keep_alive
                    )
            log.info("model %s is loaded", name)
        except (TimeoutError, ModelError) as failure:
            log.warning("model %s is not loaded: %s", name, failure or "no end in sight")

    async def _warm_up(self) -> None:
        try:
            await self._loading(await self.find())
        except ModelError as failure:
            log.info("nothing to load: %s", failure)

    def _client(self) -> ollama.AsyncClient:
        if self._opened is None:
            import httpx
            import ollama

            self._opened = ollama.AsyncClient(
                self._host,
                timeout=httpx.Timeout(None, connect=self._timeouts.connect),
                # Admission is decided elsewhere; a pool that is full would look like a stall.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                # A proxy of the environment is meant for the web, not for customers' words.
                trust_env=False,
            )
        return self._opened

    @contextmanager
    def _faults(self, name: str) -> Iterator[None]:
        """The one place where what client, connection and server raise becomes a `ModelError`."""
        import httpx
        import ollama

        try:
            yield
        except ollama.ResponseError as refusal:
            raise self._refusal(name, refusal) from refusal
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as failure:
            self._found = ("", 0.0)
            kind = ModelUnavailable if installed.refused(failure) else _Unreachable
            raise kind(f"no Ollama server at {self._host}") from failure
        except httpx.HTTPError as failure:
            raise ModelBroken(f"{name}: connection lost ({type(failure).__name__})") from failure
        except (ValueError, TypeError, AttributeError):
            # Without its cause, which quotes the text.
            raise ModelBroken(f"{name}: a line that is not of Ollama's protocol") from None

    def _refusal(self, name: str, refusal: ollama.ResponseError) -> ModelError:
        said = f"{name}: {refusal.error[:200]}"
        match refusal.status_code:
            case 404 if name != self._host:
                self._found = ("", 0.0)
                return ModelUnavailable(f"{said}: run `ollama pull {name}`")
            case 401 | 403:
                return ModelUnavailable(said)
            case 502 | 504:
                return _Unreachable(said)
            case 429 | 503:
                return ModelBusy(said)
            case 400 if "think" in refusal.error and name not in self._unthinking:
                return _ThinkingUnknown(said)
            case _:
                return ModelBroken(said)
