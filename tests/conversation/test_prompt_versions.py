"""Prompt versions, experiments and adjustments while customers write."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.app import prompt_versions
from bot.config import packaged
from bot.store.store import Store
from tests.wire.ollama_server import OllamaServer, Script

ADMIN = {"user": "admin", "conversation": "office"}
QUESTION = "배송비 얼마예요?"
EXPERIMENT = """\
experiment: tone
minimum: 3
variants:
  - {name: control, weight: 1}
  - {name: warm, weight: 1, overlay: variants/warm}
"""
WARM = """\
persona: base
rules: [{id: warmth, layer: 3, priority: MUST, text: 늘 따뜻하게 말합니다.}]
"""


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return Path(shutil.copytree(packaged("prompts"), tmp_path / "prompts"))


def edit(prompts: Path) -> None:
    path = prompts / "phrases" / "ko.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("찾아 주셔서 감사합니다", "어서 오세요"), encoding="utf-8")


async def test_prompts_are_reloaded_rolled_back_and_used_from_the_chat(run, prompts: Path) -> None:
    noon = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
    async with run(noon, prompts={"folder": prompts}) as sangdam:
        first = sangdam.app.brain.prompts.version
        edit(prompts)
        status = await sangdam.say("/프롬프트 새로고침", **ADMIN)
        second = sangdam.app.brain.prompts.version
        assert second != first
        assert second in status.reply.text
        assert "어서 오세요" in (await sangdam.say("안녕하세요", user="a")).reply.text
        back = await sangdam.say("/prompt rollback", **ADMIN)
        assert first in back.reply.text
        assert "~ phrases/ko.yaml" in back.reply.text
        greeted = await sangdam.say("안녕하세요", user="b")
        assert "찾아 주셔서 감사합니다" in greeted.reply.text
        assert greeted.variant == first
        await sangdam.say("/reload", **ADMIN)
        assert sangdam.app.brain.prompts.version == first
    async with run(noon, prompts={"folder": prompts}) as sangdam:
        assert sangdam.app.brain.prompts.version == first
        await sangdam.say(f"/프롬프트 사용 {second[:5]}", **ADMIN)
        assert sangdam.app.brain.prompts.version == second
        unknown = await sangdam.say("/prompt use 0000", **ADMIN)
        assert "'0000'" in unknown.reply.text
        usage = await sangdam.say("/prompt what", **ADMIN)
        assert "/프롬프트 되돌리기" in usage.reply.text
        customer = await sangdam.say("/프롬프트", user="a")
        assert second not in customer.reply.text


async def test_a_broken_edit_is_refused_and_the_old_words_stay(run, prompts: Path) -> None:
    async with run(prompts={"folder": prompts}) as sangdam:
        before = sangdam.app.brain.prompts.version
        (prompts / "frame.yaml").write_text("reading: x\n", encoding="utf-8")
        turn = await sangdam.say("/prompt reload", **ADMIN)
        assert "frame.yaml:1" in turn.reply.text
        assert sangdam.app.brain.prompts.version == before


async def test_a_running_server_takes_up_what_the_command_line_chose(run, prompts: Path) -> None:
    async with run(prompts={"folder": prompts}) as sangdam:
        app = sangdam.app
        first = app.brain.prompts.version
        edit(prompts)
        await app.reload_prompts()
        store = await Store.open(app.store.database.path)
        elsewhere = prompt_versions(app.config, store, lambda: datetime.now(UTC))
        second = app.brain.prompts.version
        shutil.copy(prompts / "modules" / "product_guide.yaml", prompts / "spare.yaml")
        await elsewhere.found(await elsewhere.config())
        await app.prompts.refresh()
        assert app.brain.prompts.version == second
        await elsewhere.use(first, "from the command line")
        await store.close()
        await app.prompts.refresh()
        assert app.brain.prompts.version == first
        status = await sangdam.say("/프롬프트", **ADMIN)
        assert "from the command line" in status.reply.text


async def test_customers_of_an_experiment_are_compared_once_there_are_enough(
    run, prompts: Path
) -> None:
    (prompts / "experiments.yaml").write_text(EXPERIMENT, encoding="utf-8")
    own = prompts / "variants" / "warm" / "personas" / "base.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(WARM, encoding="utf-8")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    script = Script(reply="고객님, 배송비는 2,500원입니다.")
    async with OllamaServer(script=script) as server:
        given = {"prompts": {"folder": prompts}, "model": {"host": server.host}}
        async with run(yesterday, **given) as sangdam:
            few = await sangdam.say("/프롬프트", **ADMIN)
            assert "아직 표본이 부족합니다 (0/3)" in few.reply.text
            variants: dict[str, str] = {}
            for number in range(8):
                turn = await sangdam.say(QUESTION, user=f"u{number}", conversation=f"c{number}")
                variants[f"u{number}"] = turn.variant
            for user, variant in variants.items():
                again = await sangdam.say("환불은 언제 되나요?", user=user, conversation="other")
                assert again.variant == variant
        systems: dict[bool, set[str]] = {False: set(), True: set()}
        for chat in server.chats:
            text = chat.messages[0]["content"]
            systems["늘 따뜻하게" in text].add(text)
        assert [len(each) for each in systems.values()] == [1, 1]
        version = sangdam.app.brain.prompts.version
        assert set(variants.values()) == {f"{version}:tone.control", f"{version}:tone.warm"}
        async with run(**given) as sangdam:
            status = await sangdam.say("/프롬프트", **ADMIN)
    assert "실험 tone" in status.reply.text
    assert "warm · 해결: 차이가 있다고 할 수 없습니다 (p 1.0000)" in status.reply.text
    assert "warm · 도움이 됨: 아직 표본이 부족합니다 (0/3)" in status.reply.text


async def test_what_customers_dislike_brings_more_empathy_without_touching_the_rest(
    run, prompts: Path
) -> None:
    rules = prompts / "adjustments.yaml"
    rules.write_text(
        rules.read_text(encoding="utf-8").replace("minimum: 100", "minimum: 2"), encoding="utf-8"
    )
    yesterday = datetime.now(UTC) - timedelta(days=1)
    script = Script(reply="고객님, 배송비는 2,500원입니다.")
    async with OllamaServer(script=script) as server:
        given = {"prompts": {"folder": prompts}, "model": {"host": server.host}}
        async with run(yesterday, **given) as sangdam:
            for user in ("a", "b"):
                turn = await sangdam.say(QUESTION, user=user, conversation=user)
                await sangdam.fake.vote(turn.reply, "down", user=user)
        async with run(**given) as sangdam:
            await sangdam.app.prompts.adjust()
            turn = await sangdam.say(QUESTION, user="c")
            status = await sangdam.say("/prompt", **ADMIN)
        before, after = server.chats[0].messages, server.chats[-1].messages
        async with run(**given) as sangdam:  # and after a restart
            assert "empathy" in sangdam.app.brain.prompts.adjusted
    assert "module:adjusted_empathy" in turn.layers
    assert "[더 따뜻하게]" in after[-1]["content"]
    assert "[더 따뜻하게]" not in before[-1]["content"]
    assert after[0] == before[0]
    assert "empathy: 켜짐" in status.reply.text
    assert "satisfaction 0.000 < 0.8, n 2" in status.reply.text
