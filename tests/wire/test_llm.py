from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from brain.errors import ModelBroken, ModelBusy, ModelError, ModelStalled, ModelUnavailable
from brain.model.asked import Completion
from brain.model.breaker import FAILURES
from brain.model.llm import Model, Timeouts
from tests.wire.ollama_server import OllamaServer, Script

ASKED = [
    {"role": "system", "content": "테크마켓의 상담원입니다."},
    {"role": "user", "content": "반품은 며칠 안에 해야 하나요?"},
]
ANSWER = "구매하신 날부터 14일 이내에 반품하실 수 있습니다, 고객님."
SHORT = Timeouts(connect=0.5, first_token=0.3, silence=0.2, total=2.0)


@pytest.fixture
async def server() -> AsyncIterator[OllamaServer]:
    async with OllamaServer("qwen3:8b", script=Script(reply=ANSWER)) as running:
        yield running


async def ask(model: Model, pieces: list[str] | None = None) -> Completion:
    try:
        return await model.generate(ASKED, write=[].append if pieces is None else pieces.append)
    finally:
        await model.close()


async def test_streams_what_the_model_writes(server: OllamaServer) -> None:
    pieces: list[str] = []
    model = Model(host=server.host, num_ctx=4096, num_predict=300, temperature=0.1)
    said = await ask(model, pieces)
    assert said.text == "".join(pieces) == ANSWER
    assert len(pieces) == server.chats[0].tokens == said.reply_tokens
    assert (said.model, said.cut, said.prompt_tokens) == ("qwen3:8b", False, 24)
    assert said.load_ms > 31
    assert said.first_token_ms > 0
    chat = server.chats[0]
    assert chat.messages == ASKED
    assert chat.options == {"num_ctx": 4096, "num_predict": 300, "temperature": 0.1}
    assert (chat.body["think"], chat.body["keep_alive"], chat.body["stream"]) == (
        False,
        "30m",
        True,
    )


async def test_a_prompt_is_read_ahead_with_a_single_token(server: OllamaServer) -> None:
    model = Model(host=server.host, num_ctx=4096, num_predict=300)
    server.script = replace(server.script, reply="")
    read = await model.read(ASKED)
    await model.close()
    assert (read.text, read.prompt_tokens) == ("", 24)
    assert not server.chats
    assert server.reads[0].messages == ASKED
    # The size of the context stays, or the server would load the model anew.
    assert server.reads[0].options == {"num_ctx": 4096, "num_predict": 1, "temperature": 0.3}


async def test_after_a_failure_the_next_try_is_a_customers(server: OllamaServer) -> None:
    model = Model(host=server.host)
    server.queue = [Script(status=500)]
    with pytest.raises(ModelBroken):
        await model.generate(ASKED, write=[].append)
    with pytest.raises(ModelUnavailable, match="nothing is read ahead"):
        await model.read(ASKED)
    assert not server.reads
    assert (await model.generate(ASKED, write=[].append)).text == ANSWER
    await model.read(ASKED)
    assert len(server.reads) == 1
    await model.close()


@pytest.mark.parametrize("packing", ["joined", "split"])
async def test_packets_need_not_be_lines(server: OllamaServer, packing: str) -> None:
    server.script = replace(server.script, packing=packing)
    assert (await ask(Model(host=server.host))).text == ANSWER


FAULTS = [
    ("overloaded", Script(status=503, error="server busy, please try again"), ModelBusy, "server busy"),
    ("too many requests", Script(status=429), ModelBusy, "."),
    ("out of memory", Script(status=500), ModelBroken, "out of memory"),
    ("bad gateway", Script(status=502, error="<html>"), ModelUnavailable, "."),
    ("not allowed", Script(status=401, error="unauthorized"), ModelUnavailable, "unauthorized"),
    ("no first token", Script(first_delay=9), ModelStalled, "said nothing for 0.3 s"),
    ("silent in the middle", Script(fault="stall"), ModelStalled, "fell silent for 0.2 s"),
    ("never finished", Script(reply=ANSWER * 9, delay=0.15), ModelStalled, "did not finish for 2 s"),
    ("error in the middle", Script(fault="error"), ModelBroken, "out of memory"),
    ("ends without done", Script(fault="close"), ModelBroken, "before it was done"),
    ("connection dropped", Script(fault="drop"), ModelBroken, "connection lost"),
    ("connection reset", Script(fault="reset"), ModelBroken, "connection lost"),
    ("not JSON", Script(fault="malformed"), ModelBroken, "not of Ollama's protocol"),
    ("says nothing", Script(reply=""), ModelBroken, "no usable answer"),
    ("says blanks", Script(reply=" \n\n "), ModelBroken, "no usable answer"),
    ("only thinks", Script(reply="<think>반품이면 14일"), ModelBroken, "no usable answer"),
    ("repeats one word", Script(reply="네 ", fault="endless"), ModelBroken, "no usable answer"),
    ("writes blanks", Script(reply="\n", fault="endless"), ModelBroken, "no usable answer"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "kind", "why"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
async def test_faults(
    server: OllamaServer, script: Script, kind: type[ModelError], why: str
) -> None:
    server.script = script
    with pytest.raises(kind, match=why) as caught:
        await ask(Model(host=server.host, timeouts=SHORT))
    assert ANSWER not in str(caught.value)
    assert len(server.chats) == (3 if kind is ModelBusy else 1)


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        (Script(reply=ANSWER * 20), ANSWER),
        (Script(reply=f"{ANSWER} ", fault="endless"), ""),
        (Script(reply=ANSWER + "\n" * 999), ANSWER),
    ],
    ids=["repeats a sentence", "repeats it without end", "blanks after the answer"],
)
async def test_a_runaway_is_stopped(server: OllamaServer, script: Script, kept: str) -> None:
    server.script = replace(script, delay=0.001)
    intro = "안내드리겠습니다, 고객님. 아래 내용을 확인해 주세요. "
    server.script = (
        replace(server.script, reply=intro + str(script.reply)) if kept else server.script
    )
    model = Model(host=server.host, num_predict=9999)
    if kept:
        said = await ask(model)
        assert (said.text, said.cut) == (intro + kept, True)
    else:
        with pytest.raises(ModelBroken):
            await ask(model)
    await asyncio.wait_for(server.chats[0].left.wait(), 5)


async def test_an_answer_out_of_tokens_says_so(server: OllamaServer) -> None:
    said = await ask(Model(host=server.host, num_predict=5))
    assert said.cut
    assert said.reply_tokens == 5
    assert ANSWER.startswith(said.text)


async def test_a_server_that_ignores_the_limit_is_cut(server: OllamaServer) -> None:
    numbers = " ".join(str(n * n) for n in range(100, 600))
    server.script = Script(reply=numbers, fault="endless")
    said = await ask(Model(host=server.host, num_predict=64))
    assert said.cut
    assert said.reply_tokens == 66
    await asyncio.wait_for(server.chats[0].left.wait(), 5)


async def test_cancelling_stops_the_server(server: OllamaServer) -> None:
    server.script = Script(reply=ANSWER * 50, delay=0.02)
    model = Model(host=server.host)
    shown = asyncio.Event()
    task = asyncio.create_task(model.generate(ASKED, write=lambda _: shown.set()))
    await shown.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.chats[0].left.wait(), 5)
    await model.close()


async def test_a_failing_writer_is_not_the_models_fault(server: OllamaServer) -> None:
    def write(_: str) -> None:
        raise ValueError("full")

    model = Model(host=server.host, fallback="gemma3:4b")
    with pytest.raises(ValueError, match="full"):
        await model.generate(ASKED, write=write)
    await asyncio.wait_for(server.chats[0].left.wait(), 5)
    await model.close()


async def test_thoughts_are_not_shown(server: OllamaServer) -> None:
    pieces: list[str] = []
    server.script = Script(reply=f"<think>\n반품 규정을 보면…\n</think>\n\n{ANSWER}")
    said = await ask(Model(host=server.host), pieces)
    assert said.text == "".join(pieces) == ANSWER


async def test_a_model_that_knows_no_thinking_is_asked_without(server: OllamaServer) -> None:
    server.script = replace(server.script, refuses_think=True)
    model = Model(host=server.host)
    for _ in range(2):
        assert (await model.generate(ASKED, write=[].append)).text == ANSWER
    await model.close()
    assert ["think" in chat.body for chat in server.chats] == [True, False, False]


async def test_a_busy_server_is_asked_again(server: OllamaServer) -> None:
    server.queue = [Script(status=503), Script(status=503)]
    assert (await ask(Model(host=server.host))).text == ANSWER


@pytest.mark.parametrize(
    "script",
    [Script(status=500), Script(first_delay=9), Script(reply=""), Script(fault="close", after=0)],
)
async def test_the_fallback_speaks_when_the_first_fails(
    server: OllamaServer, script: Script
) -> None:
    server.models |= {"gemma3:4b": 3_300_000_000}
    server.scripts = {"qwen3:8b": script}
    said = await ask(Model(host=server.host, fallback="gemma3:4b", timeouts=SHORT))
    assert (said.text, said.model) == (ANSWER, "gemma3:4b")


async def test_no_fallback_once_something_was_shown(server: OllamaServer) -> None:
    server.models |= {"gemma3:4b": 3_300_000_000}
    server.scripts = {"qwen3:8b": Script(reply=ANSWER, fault="close")}
    pieces: list[str] = []
    with pytest.raises(ModelBroken):
        await ask(Model(host=server.host, fallback="gemma3:4b"), pieces)
    assert len(pieces) == 3
    assert len(server.chats) == 1


async def test_a_missing_model_is_named_and_used_once_it_is_there(server: OllamaServer) -> None:
    model = Model(host=server.host, name="exaone3.5:7.8b")
    with pytest.raises(ModelUnavailable, match=r"no model exaone3\.5:7\.8b: run `ollama pull"):
        await model.find()
    fallen_back = Model(host=server.host, name="exaone3.5:7.8b", fallback="qwen3:8b")
    assert await fallen_back.find() == "qwen3:8b"
    server.models["exaone3.5:7.8b"] = 4_800_000_000
    assert await model.find() == await fallen_back.find() == "exaone3.5:7.8b"
    await model.close()
    await fallen_back.close()


async def test_a_found_model_is_kept_until_it_is_gone(server: OllamaServer) -> None:
    model = Model(host=server.host)
    for _ in range(3):
        await model.generate(ASKED, write=[].append)
    assert server.listed == 1
    server.models = {"gemma3:4b": 3_300_000_000}
    with pytest.raises(ModelUnavailable, match="qwen3:8b"):
        await model.generate(ASKED, write=[].append)
    assert (await ask(model)).model == "gemma3:4b"


async def test_a_server_without_models_says_what_to_pull(server: OllamaServer) -> None:
    server.models = {"nomic-embed-text:latest": 274_000_000}
    model = Model(host=server.host)
    with pytest.raises(ModelUnavailable, match="ollama pull"):
        await model.find()
    await model.close()


async def test_a_server_that_appears_later_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    model = Model(host=f"http://127.0.0.1:{port}")
    for _ in range(FAILURES + 2):
        with pytest.raises(ModelUnavailable, match="no Ollama server"):
            await model.generate(ASKED, write=[].append)
    async with OllamaServer("qwen3:8b", script=Script(reply=ANSWER), port=port):
        assert (await model.generate(ASKED, write=[].append)).text == ANSWER
    with pytest.raises(ModelUnavailable):
        await model.generate(ASKED, write=[].append)
    async with OllamaServer("gemma3:4b", script=Script(reply=ANSWER), port=port):
        assert (await ask(model)).model == "gemma3:4b"


async def test_a_host_that_does_not_answer_is_spared() -> None:
    knocks = 0
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, reads nothing
        port = silent.getsockname()[1]
        model = Model(host=f"http://127.0.0.1:{port}", timeouts=replace(SHORT, connect=0.05))
        for _ in range(FAILURES + 3):
            with pytest.raises(ModelUnavailable):
                await model.find()
        await model.close()
        silent.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                knocks += 1
    assert knocks == FAILURES + 1  # the first look whether anybody listens


async def test_a_failing_model_rests_then_one_call_tries(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = Script(status=500)
    model = Model(host=server.host)
    for _ in range(FAILURES):
        with pytest.raises(ModelBroken):
            await model.generate(ASKED, write=[].append)
    with pytest.raises(ModelUnavailable, match="left alone"):
        await model.generate(ASKED, write=[].append)
    assert len(server.chats) == FAILURES

    monkeypatch.setattr("brain.model.breaker.REST", 0.0)
    with pytest.raises(ModelBroken):
        await model.generate(ASKED, write=[].append)
    server.script = Script(reply=ANSWER, first_delay=0.3)
    tries = [asyncio.create_task(model.generate(ASKED, write=[].append)) for _ in range(5)]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(end) for end in ends] == [Completion, *[ModelUnavailable] * 4]
    server.script = Script(reply=ANSWER)
    assert (await ask(model)).text == ANSWER


async def test_something_that_is_no_ollama_server_is_reported(server: OllamaServer) -> None:
    model = Model(host=f"{server.host}/elsewhere")
    with pytest.raises(ModelUnavailable, match="does not list its models"):
        await model.find()
    await model.close()


async def test_a_load_slower_than_the_customers_patience_is_not_given_up(
    server: OllamaServer,
) -> None:
    server.load_seconds = 0.8
    model = Model(host=server.host, timeouts=SHORT)
    with pytest.raises(ModelStalled, match="still loading after"):
        await model.generate(ASKED, write=[].append)
    await asyncio.wait_for(server.has_loaded.wait(), 5)
    assert (await ask(model)).text == ANSWER
    assert (server.loaded, server.loads_given_up) == ({"qwen3:8b": 8192}, 0)


async def test_a_model_that_was_unloaded_meanwhile_is_loaded_for_the_next(
    server: OllamaServer,
) -> None:
    model = Model(host=server.host, timeouts=SHORT)
    assert (await model.generate(ASKED, write=[].append)).text == ANSWER
    server.loaded.clear()
    server.has_loaded.clear()
    server.load_seconds = 0.8
    with pytest.raises(ModelStalled, match="said nothing"):
        await model.generate(ASKED, write=[].append)
    await asyncio.wait_for(server.has_loaded.wait(), 5)
    assert (await ask(model)).text == ANSWER
    assert server.loads_given_up == 1


async def test_warming_loads_with_the_context_of_the_answers(server: OllamaServer) -> None:
    server.load_seconds = 0.2
    model = Model(host=server.host, num_ctx=4096)
    await model.warm()
    await model.warm()
    await asyncio.wait_for(server.has_loaded.wait(), 5)
    assert (await ask(model)).text == ANSWER
    assert server.loaded == {"qwen3:8b": 4096}


async def test_warming_without_a_server_harms_nobody() -> None:
    model = Model(host="http://127.0.0.1:9")
    await model.warm()
    await asyncio.sleep(0.05)
    await model.close()


async def test_many_at_once_when_the_server_goes(server: OllamaServer) -> None:
    server.script = Script(reply=ANSWER, fault="reset", delay=0.01)
    model = Model(host=server.host)
    tasks = [asyncio.create_task(model.generate(ASKED, write=[].append)) for _ in range(20)]
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    await model.close()
    assert {type(end) for end in ends} <= {ModelBroken}
