"""The first minute: `sangdam run` with the sample company, a question typed in Chromium."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.wire.ollama_server import OllamaServer, Script

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

QUESTION = "배송비는 얼마인가요?"
Serve = Callable[[str], AbstractAsyncContextManager[str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sample company's index is kept, so that it is built once."""
    return tmp_path_factory.mktemp("sample") / "data"


@pytest.fixture
def serve(data: Path, tmp_path: Path) -> Serve:
    """`async with serve(model_host) as url`: the real command, in a folder of its own."""

    @asynccontextmanager
    async def running(model_host: str) -> AsyncIterator[str]:
        config = tmp_path / "sangdam.yaml"
        config.write_text(
            f"data: {data}\nmodel: {{host: '{model_host}'}}\nweb: {{port: 0}}\n", encoding="utf-8"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "bot", "run"),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            while line := (await process.stderr.readline()).decode():
                if line.startswith("Sangdam: "):
                    break
            assert line, "the command ended before it served"
            draining = asyncio.create_task(process.stderr.read())
            yield line.split()[1]
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            await draining

    return running


async def ask(page: Page, question: str) -> None:
    await page.get_by_role("textbox").fill(question)
    await page.get_by_role("textbox").press("Enter")


async def test_a_question_gets_a_quoted_answer_with_its_source(
    serve: Serve, customer: BrowserContext
) -> None:
    async with serve("http://127.0.0.1:9") as url:
        page = await customer.new_page()
        await page.goto(url)
        await expect(page.get_by_text("AI").first).to_be_visible()
        await ready(page, url)
        await ask(page, QUESTION)
        log = page.get_by_role("log")
        await expect(log).to_contain_text("3,000원", timeout=60_000)
        await expect(log).to_contain_text("배송")
        await expect(page.locator("details")).to_contain_text("자주묻는질문.yaml")
        await page.reload()
        await expect(page.get_by_role("log")).to_contain_text(QUESTION)
        await expect(page.get_by_role("log")).to_contain_text("3,000원")


async def test_with_a_model_the_same_question_streams_its_words(
    serve: Serve, customer: BrowserContext
) -> None:
    reply = "고객님, 배송비는 3,000원입니다. 30,000원부터는 무료로 보내 드립니다."
    script = Script(reply=reply, delay=0.3)
    async with OllamaServer(script=script) as model, serve(model.host) as url:
        page = await customer.new_page()
        await page.goto(url)
        await ready(page, url)
        await ask(page, QUESTION)
        log = page.get_by_role("log")
        await expect(page.get_by_text("고객님, 배송비는", exact=False)).to_be_visible(
            timeout=60_000
        )
        await expect(log).not_to_contain_text("무료로")
        await expect(log).to_contain_text("30,000원부터는 무료로 보내 드립니다.", timeout=30_000)
        prompt = model.chats[-1].messages
        assert prompt[0]["role"] == "system"
        assert QUESTION in prompt[-1]["content"]
        assert "3,000원" in prompt[-1]["content"]


async def ready(page: Page, url: str) -> None:
    """Wait until the index has been built."""
    for _ in range(600):
        if (await page.request.get(f"{url}/readyz")).ok:
            return
        await asyncio.sleep(0.5)
    raise AssertionError("the index was not built in time")
