"""What customers attach: named, shown to a model that can see, politely declined by one that cannot."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from bot.channels.connect import configured
from brain.messages import Attachment
from tests.conversation.conftest import Run, Sangdam
from tests.wire.ollama_server import OllamaServer, Script
from tests.wire.telegram_server import TOKEN, TelegramServer

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)
ANSWER = (
    "고객님, 보내 주신 사진을 확인했습니다. 배송비는 2,500원입니다. 더 궁금하신 점이 있으신가요?"
)


async def kept(sangdam: Sangdam, content: bytes = PICTURE, **more: Any) -> Attachment:
    given = {"kind": "image", "name": "a.png", "mime": "image/png", **more}
    return await sangdam.app.files.keep(Attachment(**given), content)


async def test_a_model_that_sees_is_shown_the_pictures(run: Run) -> None:
    async with OllamaServer(script=Script(reply=ANSWER)) as server:
        server.able.append("vision")
        async with run(model={"host": server.host}) as sangdam:
            pictures = (await kept(sangdam), await kept(sangdam, PICTURE + b"2"))
            turn = await sangdam.say("배송비 얼마예요?", attachments=pictures)
            assert (turn.reply.kind, turn.reply.text) == ("answer", ANSWER)
            *before, last = server.chats[0].messages
            assert [base64.b64decode(each) for each in last["images"]] == [PICTURE, PICTURE + b"2"]
            assert not any("images" in each for each in before)
            assert "[사진 2장]" in last["content"]
            await sangdam.say("환불은 언제 되나요?")
            follow_up = server.chats[1].messages
            assert follow_up[1]["content"] == "배송비 얼마예요?\n[사진 2장]"
            assert not any("images" in each for each in follow_up)


async def test_a_picture_without_words_is_looked_at_too(run: Run) -> None:
    words = "고객님, 보내 주신 사진에는 상자가 보입니다. 어떤 점이 궁금하신가요?"
    async with OllamaServer(script=Script(reply=words)) as server:
        server.able.append("vision")
        async with run(model={"host": server.host}) as sangdam:
            turn = await sangdam.say("", attachments=(await kept(sangdam),))
            assert (turn.reply.kind, turn.reply.text) == ("answer", words)


@pytest.mark.parametrize("there", [True, False])
async def test_where_nobody_sees_the_words_are_answered_and_the_customer_told(
    run: Run, there: bool
) -> None:
    async with OllamaServer(script=Script(reply=ANSWER)) as server:
        host = server.host if there else "http://127.0.0.1:9"
        async with run(model={"host": host}) as sangdam:
            file = await kept(sangdam, b"%PDF", kind="file", name="영수증 [1].pdf")
            turn = await sangdam.say("배송비 얼마예요?", attachments=(await kept(sangdam), file))
            assert "2,500원" in turn.reply.text
            assert turn.reply.text.endswith(sangdam.phrase("attached.unseen"))
            assert turn.messages[0].text == "배송비 얼마예요?\n[사진 1장] [파일: 영수증 (1).pdf]"
            assert not any("images" in each for chat in server.chats for each in chat.messages)
            declined = await sangdam.say("", attachments=(await kept(sangdam),))
            assert declined.exceptions == ("technical_limitation",)


async def test_what_is_no_picture_or_not_kept_any_more_is_shown_to_nobody(run: Run) -> None:
    async with OllamaServer(script=Script(reply=ANSWER)) as server:
        server.able.append("vision")
        async with run(model={"host": server.host}) as sangdam:
            fraud = await kept(sangdam, b"#!/bin/sh")
            gone = Attachment(kind="image", name="b.png", content="0" * 64)
            away = Attachment(kind="image", name="c.png", content="../sangdam.db")
            turn = await sangdam.say("배송비 얼마예요?", attachments=(fraud, gone, away))
            assert turn.reply.text == f"{ANSWER}\n\n{sangdam.phrase('attached.unseen')}"
            assert "images" not in server.chats[0].messages[-1]


async def test_a_photo_on_telegram_reaches_the_model(run: Run) -> None:
    async with OllamaServer(script=Script(reply=ANSWER)) as model, TelegramServer() as server:
        model.able.append("vision")
        server.files["big"] = PICTURE
        channels = {"telegram": {"token": TOKEN, "base_url": server.host}}
        async with run(model={"host": model.host}, channels=channels) as sangdam:
            [channel] = configured(sangdam.app)
            sangdam.app.connect(channel)
            server.say(photo=[{"file_id": "big", "file_size": 999}], caption="배송비 얼마예요?")
            async with asyncio.timeout(30):
                while not server.shown[111]:
                    await asyncio.sleep(0.01)
            [image] = model.chats[0].messages[-1]["images"]
            assert base64.b64decode(image) == PICTURE


async def test_personal_data_in_a_files_name_is_masked(run: Run) -> None:
    async with run() as sangdam:
        file = Attachment(kind="file", name="김지민 010-1234-5678.pdf")
        turn = await sangdam.say("배송비 얼마예요?", attachments=(file,))
        assert "1234" not in repr(turn)
