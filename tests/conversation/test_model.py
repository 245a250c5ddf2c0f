"""With a model: streamed, grounded, remembered, and quoted instead when it fails."""

from __future__ import annotations

import pytest

from tests.wire.ollama_server import OllamaServer, Script

QUESTION = "배송비 얼마예요?"


async def test_the_models_words_are_streamed_and_remembered(run) -> None:
    words = "고객님, 배송비는 2,500원입니다. 20,000원 이상이면 무료입니다. 더 궁금하신 점이 있나요?"
    script = Script(reply=words, delay=0.01)
    async with OllamaServer(script=script) as server, run(model={"host": server.host}) as sangdam:
        turn = await sangdam.say(QUESTION)
        assert turn.reply.kind == "answer"
        assert turn.reply.text == words
        assert turn.reply.sources[0].document == "delivery.md"
        assert turn.model == "qwen3:8b"
        drafts = [draft.text for _, draft in sangdam.fake.drafts]
        assert len(drafts) > 1
        assert all(turn.reply.text.startswith(text) for text in drafts)
        await sangdam.say("환불은 언제 되나요?")
        first, second = (chat.messages for chat in server.chats)
        assert second[0] == first[0]
        assert [m["content"] for m in second[1:3]] == [QUESTION, turn.reply.text]
        assert "2,500원" in first[-1]["content"]
        assert server.chats[0].options["num_ctx"] == 8192
        assert server.chats[0].options["num_predict"] == 768


async def test_a_model_that_appears_later_is_used_from_the_next_message_on(run) -> None:
    async with OllamaServer() as server:
        host = server.host
    async with run(model={"host": host}) as sangdam:
        assert (await sangdam.say(QUESTION)).reply.kind == "quoted"
        async with OllamaServer(port=int(host.rpartition(":")[2])):
            assert (await sangdam.say(QUESTION)).reply.kind == "answer"
        assert (await sangdam.say(QUESTION)).reply.kind == "quoted"


@pytest.mark.parametrize("fault", ["error", "close", "drop", "reset", "malformed"])
async def test_a_model_that_breaks_leaves_a_quoted_answer(run, fault) -> None:
    async with (
        OllamaServer(script=Script(fault=fault)) as server,
        run(model={"host": server.host}) as sangdam,
    ):
        turn = await sangdam.say(QUESTION)
    assert turn.reply.kind == "quoted"
    assert "2,500원" in turn.reply.text


async def test_what_the_documents_do_not_answer_does_not_reach_the_model(run) -> None:
    async with OllamaServer() as server, run(model={"host": server.host}) as sangdam:
        turn = await sangdam.say("오늘 서울 날씨 어때?")
        assert turn.exceptions == ("out_of_scope",)
        assert server.chats == []
