"""A long conversation is summed up by the model in the background, and never in a customer's way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.conversation.conftest import Run
from tests.wire.ollama_server import OllamaServer, Script

QUESTIONS = (
    "배송비 얼마예요?",
    "반품은 며칠 안에 하면 되나요?",
    "선물 포장도 되나요?",
    "절판된 책도 구할 수 있나요?",
    "종로점은 몇 시까지 해요?",
    "제주도는 배송비가 더 드나요?",
    "해운대점에 주차할 수 있나요?",
    "환불은 언제 들어오나요?",
    "예약 도서는 언제 보내 주세요?",
    "손 편지도 넣어 주시나요?",
    "만화책 비닐을 뜯었는데 반품되나요?",
    "출고까지 얼마나 걸려요?",
)
ANSWER = (
    "네, 고객님. 문의하신 내용을 차근차근 안내해 드립니다. 저희 서점은 고객님이 편하게 이용하시도록 늘 애쓰고 "
    "있습니다. 매장에 오시면 직원이 직접 도와 드리고, 홈페이지에서도 같은 내용을 보실 수 있습니다. 말씀하신 책은 "
    "주문하신 다음에도 마이페이지에서 살펴보실 수 있습니다. 더 궁금하신 점이 있으시면 언제든지 말씀해 주세요."
)
DIGEST = "- 고객님은 배송비를 물으셨습니다.\n- 내일 999,999원을 드리기로 했습니다.\n1. 반품 기간을 안내했습니다."
SMALL = {"num_ctx": 2048, "num_predict": 256}


def wants_digest(messages: Sequence[Mapping[str, Any]]) -> bool:
    return messages[-1]["content"].startswith("[내부 작업")


def reply(messages: Sequence[Mapping[str, Any]]) -> str:
    return DIGEST if wants_digest(messages) else ANSWER


async def idle(sangdam: Any) -> None:
    """Until the background has nothing left to do and what it made is kept."""
    await sangdam.quiet()
    task = sangdam.app.background._task
    if task is not None:
        await asyncio.wait({task})
    await sangdam.quiet()


async def talked_through(run: Run, script: Script) -> OllamaServer:
    """The server that a customer's twelve questions were answered by, with time to read in between."""
    async with (
        OllamaServer(script=script) as server,
        run(model={"host": server.host, **SMALL}) as sangdam,
    ):
        for question in QUESTIONS:
            await sangdam.say(question)
            await idle(sangdam)
    return server


async def test_the_summary_takes_the_place_of_what_leaves_and_no_prompt_begins_anew_for_it(
    run: Run,
) -> None:
    server = await talked_through(run, Script(reply=reply))
    sent = [chat.messages for chat in server.chats]
    asked = next(number for number, messages in enumerate(sent) if wants_digest(messages))
    before, after = sent[asked - 1], sent[asked + 1]
    assert sent[asked][: len(before) - 1] == before[:-1]
    assert after[: len(sent[asked]) - 1] == sent[asked][:-1]
    moved = next(messages for messages in sent if "고객님은 배송비를" in messages[1]["content"])
    told = moved[1]["content"]
    assert "- 반품 기간을 안내했습니다." in told
    assert "999,999" not in told
    assert "- 배송비 얼마예요?" not in told
    assert sent.index(moved) > asked
    assert all(chat.messages[0] == sent[0][0] for chat in server.chats)


async def test_while_the_customer_reads_the_model_reads_what_the_next_prompt_begins_with(
    run: Run,
) -> None:
    server = await talked_through(run, Script(reply=reply))
    answers = [chat.messages for chat in server.chats if not wants_digest(chat.messages)]
    ahead = [chat.messages for chat in server.reads]
    assert len(ahead) == len(answers) == len(QUESTIONS)
    for begun, prompt in zip(ahead, answers[1:], strict=False):
        assert begun[-2] == {"role": "assistant", "content": ANSWER}
        assert begun[:-1] == prompt[:-1]
        assert prompt[-1]["content"].startswith(f"{begun[-1]['content']}\n")
        assert "처음 오신 고객님" in begun[-1]["content"] or "처음 오심" in begun[-1]["content"]
    assert any(late[1] != early[1] for early, late in pairwise(answers))  # the window moved


async def test_a_customer_who_comes_meanwhile_is_served_at_once(run) -> None:
    async with (
        OllamaServer(script=Script(reply=reply)) as server,
        run(model={"host": server.host, **SMALL}) as sangdam,
    ):
        given_up = None
        questions = iter(QUESTIONS)
        while given_up is None:
            server.queue = [Script(reply=reply), Script(reply=DIGEST, first_delay=3600)]
            await sangdam.say(next(questions, QUESTIONS[0]))
            await sangdam.quiet()
            while not sangdam.app.background._task.done() and given_up is None:
                await asyncio.sleep(0.002)
                given_up = next((c for c in server.chats if wants_digest(c.messages)), None)
        server.queue = []
        assert (await sangdam.say(QUESTIONS[5], user="other", conversation="other")).model
        await asyncio.wait_for(given_up.left.wait(), 10)
        # And stopping the application does not wait for a summary either.
        server.queue = [Script(reply=reply), Script(reply=DIGEST, first_delay=3600)]
        await sangdam.say(QUESTIONS[6])


async def test_a_model_that_cannot_sum_up_leaves_the_customers_own_words(run: Run) -> None:
    script = Script(reply=lambda m: "SUMMARY:" if wants_digest(m) else ANSWER)
    server = await talked_through(run, script)
    wanted = [chat for chat in server.chats if wants_digest(chat.messages)]
    last = server.chats[-1].messages
    assert "- 배송비 얼마예요?" in last[1]["content"]
    assert 1 <= len(wanted) < 5
