"""Slash-commands through the fake channel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

ADMIN = {"user": "admin", "conversation": "office"}


@pytest.mark.parametrize(
    "command", ["/reload", "/새로고침", "/status", "/검색 배송", "/왜", "/stats", "/rollback"]
)
async def test_admin_commands_are_refused_to_customers(run, command) -> None:
    async with run() as sangdam:
        turn = await sangdam.say(command)
    assert turn.reply.kind == "command"
    assert "fake:u1" in turn.reply.text


async def test_help_lists_what_one_may_use(run) -> None:
    async with run() as sangdam:
        customer = await sangdam.say("/도움말")
        admin = await sangdam.say("/help", **ADMIN)
    assert "/reset" in customer.reply.text
    assert "/reload" not in customer.reply.text
    assert "/reload" in admin.reply.text
    assert "/새로고침" in admin.reply.text


async def test_an_unknown_command_is_named(run) -> None:
    async with run() as sangdam:
        turn = await sangdam.say("/qwerty now")
        words = await sangdam.say("1/2 가격인가요? 배송비 얼마예요?")
    assert "qwerty" in turn.reply.text
    assert words.reply.kind != "command"


async def test_reload_takes_effect_and_rollback_undoes_it(run, tmp_path: Path) -> None:
    question = "독서 모임은 언제 하나요?"
    async with run() as sangdam:
        assert (await sangdam.say(question)).reply.kind == "abstained"
        (tmp_path / "kb" / "club.md").write_text(
            "# 독서 모임\n독서 모임은 매달 둘째 토요일 오후 3시에 종로점에서 합니다. 참가비는 5,000원입니다.\n",
            encoding="utf-8",
        )
        dry = await sangdam.say("/reload --dry-run", **ADMIN)
        assert "club.md" in dry.reply.text
        assert (await sangdam.say(question)).reply.kind == "abstained"
        done = await sangdam.say("/새로고침", **ADMIN)
        assert "club.md" in done.reply.text
        after = await sangdam.say(question)
        assert (after.reply.kind, after.reply.sources[0].document) == ("quoted", "club.md")
        await sangdam.say("/rollback", **ADMIN)
        assert (await sangdam.say(question, user="another")).reply.kind == "abstained"


async def test_reload_with_broken_prompts_changes_nothing(run, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    async with run() as sangdam:
        import shutil

        shutil.copytree(sangdam.app.config.prompts_folder, prompts)
    async with run(prompts={"folder": prompts}) as sangdam:
        before = sangdam.app.brain.prompts.version
        index = sangdam.app.brain.library.status().version
        broken = prompts / "layers" / "4_output.yaml"
        broken = next(iter(sorted((prompts / "layers").glob("4_*.yaml"))))
        broken.write_text("layer: 4\nnmae: x\n", encoding="utf-8")
        (tmp_path / "kb" / "new.md").write_text("# 새 문서\n새로운 안내입니다.\n", encoding="utf-8")
        turn = await sangdam.say("/reload", **ADMIN)
        assert f"{broken.name}:2" in turn.reply.text
        assert sangdam.app.brain.prompts.version == before
        assert sangdam.app.brain.library.status().version == index


async def test_why_explains_the_last_answer(run) -> None:
    async with run() as sangdam:
        await sangdam.say("배송비 얼마예요?", **ADMIN)
        turn = await sangdam.say("/why", **ADMIN)
    assert "delivery.md" in turn.reply.text
    assert "quoted" in turn.reply.text


async def test_search_status_and_stats(run) -> None:
    async with run() as sangdam:
        await sangdam.say("배송비 얼마예요?")
        search = await sangdam.say("/검색 ghksqnf rlrks", **ADMIN)
        status = await sangdam.say("/status", **ADMIN)
        stats = await sangdam.say("/stats", **ADMIN)
    assert "refund.md" in search.reply.text
    assert "찾은 말: 환불 기간" in search.reply.text
    assert "닮은 문의: 환불" in search.reply.text
    assert "확신의 근거: cosine" in search.reply.text
    assert sangdam.app.brain.prompts.version in status.reply.text
    assert "quoted" in stats.reply.text


async def test_reset_forgets_the_conversation_but_not_its_neighbour(run) -> None:
    async with run() as sangdam:
        first = await sangdam.say("배송비 얼마예요?", user="a")
        second = await sangdam.say("배송비 얼마예요?", user="b")
        await sangdam.say("/초기화", user="a")
        assert (await sangdam.app.store.session(first.address)).exchanges == ()
        assert len((await sangdam.app.store.session(second.address)).exchanges) == 1


async def test_a_reload_shows_how_far_it_is(run, tmp_path: Path) -> None:
    async with run() as sangdam:
        (tmp_path / "kb" / "club.md").write_text(
            "# 독서 모임\n독서 모임은 매달 둘째 토요일 오후 3시에 종로점에서 합니다.\n",
            encoding="utf-8",
        )
        await sangdam.say("/새로고침", **ADMIN)
        shown = [draft.text for _, draft in sangdam.fake.drafts if draft]
    assert any("읽고 있습니다" in text for text in shown)


async def test_gaps_gather_what_was_abstained_or_disliked_until_it_is_answered(
    run, tmp_path: Path
) -> None:
    async with run() as sangdam:
        assert "없습니다" in (await sangdam.say("/gaps", **ADMIN)).reply.text
        await sangdam.say("독서 모임은 언제 하나요?")
        await sangdam.say("독서모임 언제 해요?", user="u2")
        disliked = await sangdam.say("배송비 얼마예요?", user="u3")
        await sangdam.fake.vote(disliked.reply, "down", user="u3")
        while not (await sangdam.app.store.stats()).down:
            await asyncio.sleep(0.01)
        gaps = (await sangdam.say("/빈틈", **ADMIN)).reply.text
        assert "(2) 독서" in gaps
        assert "(1) 배송비 얼마예요?" in gaps
        (tmp_path / "kb" / "club.md").write_text(
            "# 독서 모임\n독서 모임은 매달 둘째 토요일 오후 3시에 종로점에서 합니다. 누구나 오실 수 있습니다.\n",
            encoding="utf-8",
        )
        await sangdam.say("/reload", **ADMIN)
        gaps = (await sangdam.say("/gaps", **ADMIN)).reply.text
    assert "독서" not in gaps
    assert "배송비 얼마예요?" in gaps
