"""A model that errs: what it says is put right, written again, or quoted from the documents instead."""

from __future__ import annotations

from tests.wire.ollama_server import OllamaServer, Script

QUESTION = "배송비 얼마예요?"
RIGHT = "고객님, 배송비는 2,500원입니다. 20,000원 이상이면 무료입니다."
INVENTED = "고객님, 반갑습니다. 배송비는 4,900원입니다. 내일 도착합니다."


async def test_an_invented_amount_is_written_again_and_never_shown(run) -> None:
    async with OllamaServer() as server, run(model={"host": server.host}) as sangdam:
        server.queue = [Script(reply=INVENTED), Script(reply=RIGHT)]
        turn = await sangdam.say(QUESTION)
        assert (turn.reply.kind, turn.reply.text) == ("answer", RIGHT)
        assert turn.guarded == ("refused: figures: 4,900원",)
        assert not any("4,900" in draft.text for _, draft in sangdam.fake.drafts)
        first, second = (chat.messages for chat in server.chats)
        assert second[:-1] == first[:-1]
        added = second[-1]["content"].removeprefix(first[-1]["content"])
        assert "4,900원" in added


async def test_what_is_wrong_twice_is_quoted(run) -> None:
    async with OllamaServer() as server, run(model={"host": server.host}) as sangdam:
        server.script = Script(reply=INVENTED)
        turn = await sangdam.say(QUESTION, user="admin")
        assert len(server.chats) == 2
        assert turn.reply.kind == "quoted"
        assert "2,500원" in turn.reply.text
        assert turn.guarded == ("refused: figures: 4,900원",)
        why = await sangdam.say("/why", user="admin")
        assert "refused: figures: 4,900원" in why.reply.text
        server.script = Script(reply=RIGHT)
        assert (await sangdam.say(QUESTION, user="admin")).reply.kind == "answer"


async def test_careless_words_are_put_right_without_asking_again(run) -> None:
    async with OllamaServer() as server, run(model={"host": server.host}) as sangdam:
        said = "상담원: 당신의 배송비는 2500원이야. ₩20,000 이상이면 무료다!<|im_end|>"
        server.script = Script(reply=said)
        turn = await sangdam.say(QUESTION)
        assert turn.reply.text == "고객님의 배송비는 2,500원이에요. 20,000원 이상이면 무료입니다!"
        assert turn.guarded == ("speaker", "terms", "amounts", "polite")
        assert len(server.chats) == 1
        await sangdam.say("환불은 언제 되나요?")
        assert server.chats[1].messages[2]["content"] == turn.reply.text


async def test_a_model_that_thinks_aloud_is_judged_by_what_it_says_after_that(run) -> None:
    async with OllamaServer() as server, run(model={"host": server.host}) as sangdam:
        server.script = Script(reply=f"음, 4,900원인가? 아니다. 보자.\n</think>\n\n{RIGHT}")
        turn = await sangdam.say(QUESTION)
        assert (turn.reply.kind, turn.reply.text) == ("answer", RIGHT)


async def test_what_the_customer_said_may_be_repeated(run) -> None:
    async with OllamaServer() as server, run(model={"host": server.host}) as sangdam:
        server.script = Script(reply="네, 고객님. 17,300원 주문이면 배송비는 2,500원입니다.")
        turn = await sangdam.say("17,300원어치 사면 배송비 얼마예요?")
        assert (turn.reply.kind, turn.guarded) == ("answer", ())
