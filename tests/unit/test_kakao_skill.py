"""KakaoTalk's calls read, replies shown, and the validator against every limit of the table."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kakao.call import Call, read
from adapters.kakao.hosts import keeps_photos, may_call_back
from adapters.kakao.limits import length, problems
from adapters.kakao.skill import (
    Texts,
    encoded,
    pieces,
    response,
    show,
    simple_text,
    use_callback,
    view_button,
)
from brain.messages import Choice, Reply, Source

TEXTS = Texts(
    waiting="잠시만요",
    holding="조금 더 걸려요",
    nothing="없어요",
    failed="실패했어요",
    thanks="감사합니다",
    view_answer="답변 보기",
    view_more="이어서 보기",
    helpful="도움이 됐어요",
    unhelpful="도움이 안 됐어요",
    operator="상담원 연결",
    operator_hint="누르시면 상담원과 대화하실 수 있습니다.",
    choices="선택할 수 있는 답변",
    source="출처: {document} · {heading}",
    again="(다시)",
)
SSRF = Path(__file__).parents[2].parent / "shared/data/security/own/ssrf_urls.txt"


def reply(text: str = "14일 이내입니다.", **changes: Any) -> Reply:
    return Reply(**{"id": "t1", "in_reply_to": "m1", "text": text, "kind": "answer", **changes})


# ---- the validator


def body(*outputs: Any, **template: Any) -> dict[str, Any]:
    return {"version": "2.0", "template": {"outputs": list(outputs), **template}}


def button(label: str = "확인", **changes: Any) -> dict[str, Any]:
    return {"label": label, "action": "message", "messageText": "네", **changes}


IMAGE = {"imageUrl": "https://k.kakaocdn.net/a.png"}
ITEM = {"title": "하나"}
GOOD: dict[str, dict[str, Any]] = {
    "simpleText": {"text": "가" * 1000},
    "simpleImage": {**IMAGE, "altText": "가" * 50},
    "textCard": {"title": "가" * 50, "description": "가" * 350, "buttons": [button("가" * 14)] * 3},
    "basicCard": {"thumbnail": IMAGE, "title": "가" * 50, "description": "가" * 230},
    "commerceCard": {
        "price": 10000,
        "currency": "won",
        "thumbnails": [IMAGE],
        "buttons": [button()],
        "title": "가" * 30,
        "description": "가" * 40,
        "discountRate": 10,
        "discountedPrice": 9000,
    },
    "listCard": {"header": {"title": "목록"}, "items": [ITEM] * 5, "buttons": [button()] * 2},
    "itemCard": {
        "itemList": [{"title": "가" * 6, "description": "나"}] * 10,
        "profile": {"title": "가" * 15},
        "itemListSummary": {"title": "합계", "description": "가" * 14},
        "title": "가" * 100,
        "description": "가" * 100,
    },
    "carousel": {"type": "textCard", "items": [{"description": "가" * 128}] * 10},
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_just_within_the_limits_is_fit(kind: str) -> None:
    assert problems(body({kind: GOOD[kind]})) == []


def test_a_whole_response_at_its_limits_is_fit() -> None:
    full = body(*[{"simpleText": GOOD["simpleText"]}] * 3, quickReplies=[button("가" * 14)] * 10)
    values = [{"name": "order", "lifeSpan": 0, "ttl": 600, "params": {"no": "A1"}}]
    assert problems({**full, "context": {"values": values}, "data": {"name": "홍길동"}}) == []
    assert problems(use_callback("잠시만요")) == []


ROUNDED = {"thumbnail": {**IMAGE, "fixedRatio": True}, "buttons": [button()] * 3}
VIOLATIONS: list[tuple[str, dict[str, Any]]] = [
    ("simpleText", {"text": "가" * 1001}),
    ("simpleText", {"text": "😀" * 501}),
    ("simpleText", {"text": ""}),
    ("simpleText", {"text": " \n"}),
    ("simpleText", {"text": 5}),
    ("simpleText", {"text": None}),
    ("simpleText", {"text": "\ud83d"}),
    ("simpleImage", {"imageUrl": None}),
    ("simpleImage", {"imageUrl": "file:///etc/passwd"}),
    ("simpleImage", {"altText": "가" * 51}),
    ("textCard", {"title": "가" * 51}),
    ("textCard", {"title": "가" * 50, "description": "가" * 351}),
    ("textCard", {"title": None, "description": None}),
    ("textCard", {"buttons": [button()] * 4}),
    ("textCard", {"buttons": [button("가" * 15)]}),
    ("textCard", {"buttons": [button("")]}),
    ("textCard", {"buttons": [button("가" * 9)] * 2, "buttonLayout": "horizontal"}),
    ("textCard", {"buttons": [button("가")] * 3, "buttonLayout": "horizontal"}),
    ("textCard", {"buttonLayout": "diagonal"}),
    ("textCard", {"buttons": [button(action="jump")]}),
    ("textCard", {"buttons": [button(action="webLink")]}),
    ("textCard", {"buttons": [button(action="phone")]}),
    ("textCard", {"buttons": [button(action="block")]}),
    ("textCard", {"buttons": "button"}),
    ("basicCard", {"thumbnail": None}),
    ("basicCard", {"thumbnail": {}}),
    ("basicCard", {"thumbnail": {**IMAGE, "altText": "가" * 51}}),
    ("basicCard", {"title": "가" * 51}),
    ("basicCard", {"description": "가" * 231}),
    ("basicCard", {"buttons": [button()] * 4}),
    ("basicCard", ROUNDED),
    ("commerceCard", {"price": "10000"}),
    ("commerceCard", {"price": True}),
    ("commerceCard", {"currency": "usd"}),
    ("commerceCard", {"thumbnails": []}),
    ("commerceCard", {"thumbnails": [IMAGE, IMAGE]}),
    ("commerceCard", {"buttons": []}),
    ("commerceCard", {"title": "가" * 31}),
    ("commerceCard", {"description": "가" * 41}),
    ("commerceCard", {"discountedPrice": None}),
    ("listCard", {"header": {}}),
    ("listCard", {"items": []}),
    ("listCard", {"items": [ITEM] * 6}),
    ("listCard", {"items": [{"title": ""}]}),
    ("listCard", {"items": [{**ITEM, "action": "operator"}]}),
    ("listCard", {"items": [{**ITEM, "action": "block"}]}),
    ("listCard", {"buttons": [button()] * 3}),
    ("itemCard", {"itemList": []}),
    ("itemCard", {"itemList": [{"title": "가", "description": "나"}] * 11}),
    ("itemCard", {"itemList": [{"title": "가" * 7, "description": "나"}]}),
    ("itemCard", {"itemList": [{"title": "가"}]}),
    ("itemCard", {"head": {"title": "가"}}),
    ("itemCard", {"profile": {"title": "가" * 16}}),
    ("itemCard", {"itemListSummary": {"title": "합계", "description": "가" * 15}}),
    ("itemCard", {"title": "가" * 101}),
    ("itemCard", {"title": "가", "description": "\n" * 12 + "가"}),
    ("carousel", {"type": "simpleText"}),
    ("carousel", {"items": []}),
    ("carousel", {"items": [{"description": "가"}] * 11}),
    ("carousel", {"items": [{"description": "가" * 129}]}),
    ("carousel", {"header": {"title": "가"}}),
    ("carousel", {"type": "listCard", "items": [GOOD["listCard"]]}),
    ("carousel", {"type": "listCard", "items": [{**GOOD["listCard"], "items": [ITEM]}] * 6}),
    ("carousel", {"type": "itemCard", "items": [GOOD["itemCard"]]}),
    ("carousel", {"type": "basicCard", "items": [GOOD["basicCard"], ROUNDED]}),
]


@pytest.mark.parametrize(("kind", "change"), VIOLATIONS)
def test_what_breaks_a_limit_of_a_component_is_refused(kind: str, change: dict[str, Any]) -> None:
    card = {**copy.deepcopy(GOOD[kind]), **change}
    for name in [name for name, value in card.items() if value is None]:
        del card[name]
    assert problems(body({kind: card}))


TEXT = {"simpleText": {"text": "가"}}


@pytest.mark.parametrize(
    "whole",
    [
        None,
        [],
        {},
        {"template": {"outputs": [TEXT]}},
        {"version": "1.0", "template": {"outputs": [TEXT]}},
        {"version": "2.0"},
        {"version": "2.0", "template": {}},
        body(),
        body(*[TEXT] * 4),
        body("text"),
        body({}),
        body({**TEXT, "simpleImage": IMAGE}),
        body({"hologram": {}}),
        body(TEXT, quickReplies=[button()] * 11),
        body(TEXT, quickReplies=[button("가" * 15)]),
        body(TEXT, quickReplies=[button("")]),
        body(TEXT, quickReplies=[button(action="webLink")]),
        body(TEXT, quickReplies=[button(action="operator")]),
        body(TEXT, quickReplies=[button(action="block")]),
        body(TEXT, quickReplies=[button(messageText="")]),
        body(TEXT, quickReplies=[button(extra={"x": float("nan")})]),
        body(TEXT, quickReplies=[button(messageText="가" * 10_300)]),
        {"version": "2.0", "useCallback": True, "template": {"outputs": [TEXT]}},
        {"version": "2.0", "useCallback": "true"},
        {"version": "2.0", "useCallback": False, "template": {"outputs": [TEXT]}},
        {"version": "2.0", "useCallback": True, "data": "잠시만요"},
        {**body(TEXT), "context": {"values": [{"lifeSpan": 1}]}},
        {**body(TEXT), "context": {"values": [{"name": "a", "lifeSpan": -1}]}},
        {**body(TEXT), "context": {"values": [{"name": "a", "lifeSpan": 1, "params": {"n": 1}}]}},
    ],
)
def test_a_response_that_is_wrong_as_a_whole_is_refused(whole: Any) -> None:
    assert problems(whole)


def test_a_group_chat_has_rules_of_its_own() -> None:
    five = body({"textCard": {"title": "가", "buttons": [button()] * 5}})
    assert problems(five)
    assert not problems(five, group=True)
    assert problems(body(TEXT, quickReplies=[button()]), group=True)
    for kind in ("commerceCard", "carousel"):
        assert problems(body({kind: GOOD[kind]}), group=True)


# ---- calls

RECORDED: dict[str, Any] = {
    "bot": {"id": "64f0c0ffee0000000000abcd!", "name": "우리 CS봇"},
    "intent": {"id": "b1", "name": "폴백 블록", "extra": {"reason": {"code": 1, "message": "OK"}}},
    "action": {
        "id": "s1",
        "name": "cs-skill",
        "params": {"date": '{"value":"2026-01-02"}'},
        "detailParams": {"date": {"origin": "내일", "value": '{"value":"2026-01-02"}'}},
        "clientExtra": {"fb": "up", "turn": "t-123"},
    },
    "userRequest": {
        "timezone": "Asia/Seoul",
        "params": {"surface": "Kakaotalk.plusfriend", "ignoreMe": "true"},
        "block": {"id": "b1", "name": "폴백 블록"},
        "utterance": "환불 언제 되나요?\n",
        "lang": "kr",
        "user": {
            "id": "f" * 66,
            "type": "botUserKey",
            "properties": {"botUserKey": "f" * 66, "plusfriendUserKey": "a" * 12, "isFriend": True},
        },
        "callbackUrl": "https://bot-api.kakao.com/v1/bots/64f0!/callback/abc",
    },
    "contexts": [{"name": "order", "lifespan": 3, "ttl": 600, "params": {"no": {"value": "A1"}}}],
    "flow": {"trigger": {"type": "QUICKREPLY_BUTTON_MESSAGE"}},
}


def call(request_id: str = "chp-0123456789", seconds: float = 5.0, **asked: Any) -> Call:
    action = asked.pop("action", None)
    whole = {**RECORDED, "userRequest": {**RECORDED["userRequest"], **asked}}
    if action is not None:
        whole["action"] = action
    return read(json.dumps(whole).encode(), request_id=request_id, seconds=seconds)


def test_a_recorded_call() -> None:
    given = call()
    assert given.bot == "64f0c0ffee0000000000abcd"
    assert given.address.conversation == given.address.user == "f" * 66
    assert given.text == "환불 언제 되나요?"
    assert given.locale == "ko"
    assert given.vote == ("up", "t-123")
    assert given.callback.endswith("/callback/abc")
    assert given.id.startswith("chp-0123456789:")
    assert not given.attachments
    assert not given.group
    assert not given.asks_for_answers("답변 보기")


def test_the_least_that_a_call_holds() -> None:
    least = {"userRequest": {"user": {"id": "u1"}, "utterance": ""}}
    given = read(json.dumps(least).encode(), request_id="", seconds=0)
    assert (given.text, given.bot, given.callback, given.vote) == ("", "", "", None)


@pytest.mark.parametrize(
    "extra", [None, {}, {"fb": "sideways", "turn": "t"}, {"fb": "up"}, {"fb": "up", "turn": 5}]
)
def test_what_is_no_vote(extra: Any) -> None:
    assert call(action={"clientExtra": extra}).vote is None


def test_asking_for_answers() -> None:
    assert call(action={"clientExtra": {"view": True}}).asks_for_answers("답변 보기")
    assert call(utterance="답변 보기", action={}).asks_for_answers("답변 보기")


def test_without_a_request_id_the_same_words_within_a_second_are_one_call() -> None:
    first = call("", 5.1)
    assert call("", 5.9).id == first.id
    assert call("not an id\n", 5.9).id != call("", 6.0).id
    assert len({first.id, call("", 6.1).id, call("", 5.1, utterance="다른 말").id}) == 3
    assert call("", 5.1, user={"id": "other"}).id != first.id


def test_a_photo() -> None:
    url = "http://dn-m.talk.kakao.com/talkm/abc/i_1.jpg?x=1"
    given = call(utterance=url, params={"media": {"type": "image", "url": url}})
    [photo] = given.attachments
    assert (photo.kind, photo.name, photo.mime, photo.url) == (
        "image",
        "i_1.jpg",
        "image/jpeg",
        url,
    )
    assert given.text == ""
    assert len(call(utterance=url).attachments) == 1


@pytest.mark.parametrize("comma", [",", ", "])
def test_photos_of_the_secure_plugin(comma: str) -> None:
    urls = [f"http://secure.kakaocdn.net/{n}?credential=a&expires=1&signature=b%3D" for n in "ab"]
    secure = {
        "privacyAgreement": "Y",
        "imageQuantity": "2",
        "secureUrls": f"List({comma.join(urls)})",
        "expire": "2026-01-01T00:00:00+0900",
    }
    given = call(action={"params": {"photo": json.dumps(secure)}})
    assert [each.url for each in given.attachments] == urls
    assert given.text == "환불 언제 되나요?"


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/a.jpg",
        "http://evilkakaocdn.net/a.jpg",
        "http://k.kakaocdn.net.evil.example/a.jpg",
        "http://k.kakaocdn.net@evil.example/a.jpg",
        "http://k.kakaocdn.net:22/a.jpg",
        "http://evil.example/.kakaocdn.net",
        "http://evil.example\\.kakaocdn.net/",
        "ftp://k.kakaocdn.net/a.jpg",
    ],
)
def test_a_photo_that_lies_elsewhere_is_none(url: str) -> None:
    assert not keeps_photos(url)
    given = call(utterance=url, params={"media": {"type": "image", "url": url}})
    assert not given.attachments
    assert given.text == url


def test_a_group_call() -> None:
    given = call(utterance="@우리 CS봇 환불은요?", chat={"id": "g1", "type": "botGroupKey"})
    assert given.group
    assert (given.address.conversation, given.text) == ("g1", "환불은요?")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://bot-api.kakao.com/v1/bots/64f0!/callback/abc", True),
        ("https://BOT-API.kakao.com:443/v1/callback/abc?x=1", True),
        ("http://bot-api.kakao.com/v1/callback/abc", False),
        ("https://bot-api.kakao.com:8443/v1/callback/abc", False),
        ("https://bot-api.kakao.com.evil.example/", False),
        ("https://bot-api.kakao.com@evil.example/", False),
        ("https://evil.example/bot-api.kakao.com", False),
        ("https://evil.example#@bot-api.kakao.com/", False),
        ("https://evil.example\\@bot-api.kakao.com/", False),
        ("https://bot-api.kakao.com\n.evil.example/", False),
        ("https://bot-api.kakao.com/\n", False),
        ("https://bot-api.kakao.com./", False),
        ("https://127.0.0.1:8081/", True),
        ("http://127.0.0.1:8081/callback", True),
        ("http://127.0.0.1:8082/callback", False),
        ("http://127.0.0.1/callback", False),
        ("http://10.0.0.1:80/callback", False),
        ("", False),
        ("https://bot-api.kakao.com/" + "a" * 2000, False),
    ],
)
def test_where_a_late_answer_may_go(url: str, allowed: bool) -> None:
    hosts = ["bot-api.kakao.com", "127.0.0.1:8081", "10.0.0.1:80"]
    assert may_call_back(url, hosts) is allowed


@pytest.mark.skipif(not SSRF.is_file(), reason="the list is not here")
def test_no_address_of_the_ssrf_list_is_called() -> None:
    urls = [line.split("   #")[0].strip() for line in SSRF.read_text(encoding="utf-8").splitlines()]
    assert urls
    for url in filter(None, urls):
        assert not may_call_back(url, ["bot-api.kakao.com"]), url
        assert not keeps_photos(url), url


# ---- replies


def test_a_short_reply_with_its_sources_and_votes() -> None:
    source = Source(document="policies/refund.md", heading="환불 > 기간", score=0.9)
    shown = show(reply("**14일** 이내입니다.", sources=(source,), notice="AI입니다."), TEXTS)
    assert shown.bubbles == (
        simple_text("AI입니다.\n\n14일 이내입니다.\n\n출처: policies/refund.md · 환불 > 기간"),
    )
    assert [each["extra"]["fb"] for each in shown.quick] == ["up", "down"]
    assert show(reply(kind="command"), TEXTS).quick == ()
    assert show(reply(author="김상담"), TEXTS).quick == ()


@pytest.mark.parametrize(
    ("size", "bubbles", "longest"), [(500, 1, 500), (1400, 3, 500), (2000, 3, 900)]
)
def test_nothing_is_folded_where_there_is_room(size: int, bubbles: int, longest: int) -> None:
    shown = pieces("한 문장입니다. " * (size // 9))
    assert len(shown) <= bubbles
    assert max(len(each["simpleText"]["text"]) for each in shown) <= longest


def choices(count: int, label: str = "배송비") -> tuple[Choice, ...]:
    return tuple(Choice(label=f"{label}{n}", text=f"{label} {n}번이요") for n in range(count))


def test_choices() -> None:
    [card] = show(reply(choices=choices(3)), TEXTS).bubbles
    assert [each["label"] for each in card["textCard"]["buttons"]] == [
        "배송비0",
        "배송비1",
        "배송비2",
    ]
    long = "무이자 할부가 되는 카드의 종류와 기간"
    text, listed = show(reply(choices=choices(5, long)), TEXTS).bubbles
    assert text == simple_text("14일 이내입니다.")
    assert listed["listCard"]["items"][4]["messageText"] == f"{long} 4번이요"
    many = show(reply(choices=choices(20)), TEXTS)
    assert len(many.bubbles) == 1
    assert len(many.quick) == 9


def test_a_hand_off_offers_a_person() -> None:
    *_, card = show(reply(kind="handoff"), TEXTS).bubbles
    assert card["textCard"]["buttons"] == [{"label": "상담원 연결", "action": "operator"}]
    assert len(show(reply(kind="handoff"), TEXTS, group=True).bubbles) == 1


@pytest.mark.parametrize(
    "text", ["", " \n", "\ud83d", "<b>", "👨‍👩‍👧" * 700, "가" * 5000, "```\na\n```"]
)
def test_odd_words(text: str) -> None:
    odd = reply(text, choices=choices(12, text[:90] or "x"), kind="handoff", notice=text[:2000])
    for group in (False, True):
        shown = show(odd, TEXTS, group=group)
        for bubble in shown.bubbles:
            assert not problems(response([bubble], shown.quick, group=group), group=group)


@given(
    st.text(max_size=3000),
    st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), max_size=12),
    st.sampled_from(["answer", "handoff", "command"]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_said_is_fit(
    text: str, offered: list[tuple[str, str]], kind: Any, group: bool
) -> None:
    given_choices = tuple(Choice(label=label, text=words) for label, words in offered)
    shown = show(reply(text, choices=given_choices, kind=kind), TEXTS, group=group)
    quick = [view_button(TEXTS.view_more), *shown.quick]
    for at in range(0, len(shown.bubbles), 3):
        body = response(shown.bubbles[at : at + 3], quick, group=group)
        assert not problems(body, group=group)
        assert json.loads(encoded(body)) == body


def test_length_counts_as_the_strictest_reader() -> None:
    assert length("가a😀") == 4
