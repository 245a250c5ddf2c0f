"""One turn at a time within a conversation, and when it starts, by a clock that the tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import fake
from adapters.fake import VirtualClock
from bot.clock import sleep
from bot.turns import Floor, Patience, Turns
from brain.messages import Address, Message
from brain.utterance import reads_as

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
FRAGMENT, OPEN, FINISHED = "노트북", "노트북 어제 주문했던 거 취소해", "배송 언제 와요?"


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here needs real time to pass."""
    monkeypatch.setattr(fake, "SETTLE_SECONDS", 0)


class Scene:
    """The turns of some conversations, each answer taking `seconds` of a clock that stands still."""

    def __init__(
        self,
        patience: Patience | None = None,
        *,
        collects: bool = True,
        seconds: float = 0.0,
        speaking: float = 0.0,
        cheap: bool = False,
    ) -> None:
        self.clock = VirtualClock(START)
        self.turns = Turns(
            self.run,
            clock=self.clock,
            patience=patience or Patience(),
            collects=lambda address: collects,
            joined=lambda messages: self.joined.extend(message.text for message in messages),
        )
        self.seconds, self.speaking, self.cheap = seconds, speaking, cheap
        self.started: list[tuple[float, list[str]]] = []
        self.answered: list[tuple[str, str]] = []
        self.said: list[tuple[str, list[str]]] = []
        self.joined: list[str] = []
        self.new: list[int] = []
        self.given_up = 0
        self.running: set[str] = set()
        self.ids = count()

    async def run(self, messages: Sequence[Message], floor: Floor) -> None:
        conversation = messages[0].address.conversation
        texts = [message.text for message in messages]
        assert conversation not in self.running
        assert {message.address for message in messages} == {messages[0].address}
        self.running.add(conversation)
        self.started.append((self.clock.monotonic(), texts))
        self.new.append(floor.new)
        try:
            if self.seconds:
                await sleep(self.clock, self.seconds)
            await floor.take(cheap=self.cheap)
            if self.speaking:
                await sleep(self.clock, self.speaking)
            self.said.append((conversation, texts))
            self.answered += [(conversation, text) for text in texts]
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.running.discard(conversation)

    def put(self, *texts: str, conversation: str = "a") -> None:
        for text in texts:
            self.turns.put(
                Message(id=str(next(self.ids)), address=at(conversation), text=text, sent_at=START)
            )

    def job(self, name: str, conversation: str = "a", seconds: float = 0.0) -> None:
        async def work() -> None:
            assert conversation not in self.running
            self.running.add(conversation)
            if seconds:
                await sleep(self.clock, seconds)
            self.running.discard(conversation)
            self.said.append((conversation, [name]))
            self.answered.append((conversation, name))

        self.turns.do(at(conversation), work)

    async def pass_(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def quiet(self) -> None:
        """Let time pass until there is nothing left to say; nothing may be left behind."""
        await self.clock.settle()
        for _ in range(400):
            if not self.turns.busy:
                break
            await self.clock.advance(0.25)
        assert self.turns.busy == 0
        assert self.turns._lines == {}
        assert self.turns._asides == set()
        assert self.running == set()

    @property
    def replies(self) -> list[list[str]]:
        return [texts for _, texts in self.said]


def at(conversation: str) -> Address:
    return Address(channel="fake", conversation=conversation, user="u")


def test_the_samples_read_as_they_are_named() -> None:
    assert [reads_as(text) for text in (FRAGMENT, OPEN, FINISHED)] == [
        "fragment",
        "open",
        "finished",
    ]


# When a turn starts


@pytest.mark.parametrize("text", [FINISHED, "환불 부탁드립니다", OPEN, "where is my order?"])
async def test_what_is_no_fragment_starts_at_once(text: str) -> None:
    scene = Scene()
    scene.put(text)
    await scene.clock.settle()
    assert scene.started == [(0.0, [text])]
    await scene.quiet()


async def test_a_fragment_waits_for_the_rest() -> None:
    scene = Scene()
    scene.put("안녕하세요")
    await scene.pass_(1.4)
    scene.put(FRAGMENT)
    await scene.pass_(1.4)
    assert scene.started == []
    scene.put(FINISHED)
    await scene.clock.settle()
    assert scene.started == [(2.8, ["안녕하세요", FRAGMENT, FINISHED])]
    await scene.quiet()


async def test_a_fragment_alone_is_answered_after_its_patience() -> None:
    scene = Scene()
    scene.put(FRAGMENT)
    await scene.pass_(10)
    assert scene.started == [(1.5, [FRAGMENT])]
    await scene.quiet()


async def test_fragments_without_end_are_answered_after_six_seconds() -> None:
    scene = Scene(seconds=1.0, speaking=1.0)
    for _ in range(6):
        scene.put(FRAGMENT)
        await scene.pass_(1.0)
    assert scene.started == [(6.0, [FRAGMENT] * 6)]
    await scene.quiet()


async def test_a_channel_that_does_not_collect_never_waits() -> None:
    scene = Scene(collects=False, cheap=True)
    scene.put(FRAGMENT)
    await scene.clock.settle()
    assert scene.replies == [[FRAGMENT]]
    await scene.quiet()


async def test_patience_of_zero_waits_for_nothing() -> None:
    scene = Scene(Patience(fragment=0, follow_on=0), cheap=True)
    scene.put(FRAGMENT)
    await scene.clock.settle()
    assert scene.replies == [[FRAGMENT]]
    await scene.quiet()


# A cheap answer


async def test_a_cheap_answer_to_what_may_go_on_waits_a_second() -> None:
    scene = Scene(cheap=True)
    scene.put(OPEN)
    await scene.pass_(0.9)
    assert scene.replies == []
    await scene.pass_(0.1)
    assert scene.replies == [[OPEN]]
    await scene.quiet()


async def test_more_words_in_that_second_are_answered_with_it() -> None:
    scene = Scene(cheap=True)
    scene.put(OPEN)
    await scene.pass_(0.5)
    scene.put(FINISHED)
    await scene.clock.settle()
    assert scene.replies == [[OPEN, FINISHED]]
    await scene.quiet()


async def test_a_cheap_answer_to_a_finished_sentence_is_given_at_once() -> None:
    scene = Scene(cheap=True)
    scene.put(FINISHED)
    await scene.clock.settle()
    assert scene.replies == [[FINISHED]]
    await scene.quiet()


async def test_a_costly_answer_does_not_wait() -> None:
    scene = Scene()
    scene.put(OPEN)
    await scene.clock.settle()
    assert scene.replies == [[OPEN]]
    await scene.quiet()


async def test_a_job_ends_the_second() -> None:
    scene = Scene(cheap=True)
    scene.put(OPEN)
    await scene.pass_(0.5)
    scene.job("reset")
    await scene.clock.settle()
    assert scene.replies == [[OPEN], ["reset"]]
    await scene.quiet()


async def test_a_cheap_answer_does_not_wait_when_more_waits_already() -> None:
    scene = Scene(Patience(policy="collect"), seconds=1.0, cheap=True)
    scene.put(OPEN)
    await scene.pass_(0.5)
    scene.put(FINISHED)
    await scene.pass_(0.5)
    assert scene.replies == [[OPEN]]
    await scene.quiet()
    assert scene.replies == [[OPEN], [FINISHED]]


# What arrives during an answer


async def test_words_during_an_answer_are_answered_with_it() -> None:
    scene = Scene(seconds=3.0)
    scene.put(FINISHED)
    await scene.pass_(1.0)
    scene.put("제주도예요.")
    await scene.clock.settle()
    assert scene.started == [(0.0, [FINISHED]), (1.0, [FINISHED, "제주도예요."])]
    await scene.quiet()
    assert scene.replies == [[FINISHED, "제주도예요."]]
    assert scene.given_up == 1


async def test_an_answer_is_given_up_so_often_and_no_more() -> None:
    scene = Scene(Patience(restarts=2), seconds=5.0)
    for number in range(5):
        scene.put(f"{number}번도요.")
        await scene.pass_(0.5)
    assert scene.given_up == 2
    await scene.quiet()
    assert scene.replies == [
        ["0번도요.", "1번도요.", "2번도요."],
        ["3번도요.", "4번도요."],
    ]


async def test_without_restarts_it_waits_for_its_turn() -> None:
    scene = Scene(Patience(restarts=0), seconds=1.0)
    scene.put(FINISHED)
    await scene.pass_(0.5)
    scene.put("또요.")
    await scene.quiet()
    assert scene.given_up == 0
    assert scene.replies == [[FINISHED], ["또요."]]


async def test_what_comes_after_the_floor_is_taken_is_the_next_turns() -> None:
    scene = Scene(speaking=1.0)
    scene.put(FINISHED)
    await scene.pass_(0.5)
    scene.put("제주도예요.")
    await scene.quiet()
    assert scene.given_up == 0
    assert scene.replies == [[FINISHED], ["제주도예요."]]


@pytest.mark.parametrize(
    ("policy", "replies"),
    [("collect", [["0."], ["1.", "2.", "3."]]), ("queue", [["0."], ["1."], ["2."], ["3."]])],
)
async def test_other_policies_let_the_answer_stand(
    policy: str, replies: Sequence[Sequence[str]]
) -> None:
    scene = Scene(Patience(policy=policy), seconds=1.0)  # type: ignore[arg-type]
    for number in range(4):
        scene.put(f"{number}.")
        await scene.pass_(0.2)
    await scene.quiet()
    assert scene.given_up == 0
    assert scene.replies == replies


async def test_queued_fragments_do_not_wait() -> None:
    scene = Scene(Patience(policy="queue"))
    scene.put(FRAGMENT, FRAGMENT)
    await scene.clock.settle()
    assert scene.replies == [[FRAGMENT], [FRAGMENT]]
    await scene.quiet()


async def test_a_fragment_that_interrupts_waits_for_the_rest_too() -> None:
    scene = Scene(seconds=3.0)
    scene.put(FINISHED)
    await scene.pass_(1.0)
    scene.put("그리고")
    await scene.pass_(1.0)
    scene.put("환불도 되나요?")
    await scene.quiet()
    assert scene.replies == [[FINISHED, "그리고", "환불도 되나요?"]]
    assert scene.given_up == 1


async def test_each_message_is_new_to_one_start_and_joined_once() -> None:
    scene = Scene(seconds=3.0)
    scene.put("안녕하세요", FINISHED)
    await scene.pass_(1.0)
    scene.put("1번이요.")
    await scene.pass_(1.0)
    scene.put("2번이요.", "3번이요.")
    await scene.quiet()
    assert scene.new == [2, 1, 2]
    assert scene.joined == ["안녕하세요", FINISHED, "1번이요.", "2번이요."]


async def test_an_answer_that_cannot_be_given_up_stands() -> None:
    clock = VirtualClock(START)
    replies: list[list[str]] = []

    async def run(messages: Sequence[Message], floor: Floor) -> None:
        try:
            await sleep(clock, 1.0)
        except asyncio.CancelledError:
            await sleep(clock, 1.0)
        replies.append([message.text for message in messages])

    turns = Turns(run, clock=clock)
    for number in range(3):
        turns.put(Message(id=str(number), address=at("a"), text=f"{number}.", sent_at=START))
        await clock.advance(0.5)
    await clock.advance(10)
    assert replies == [["0."], ["1.", "2."]]
    assert turns.busy == 0


# Jobs


async def test_jobs_and_messages_keep_their_order() -> None:
    scene = Scene()
    scene.put("하나.")
    scene.job("first")
    scene.put("둘.", "셋.")
    scene.job("second", seconds=2.0)
    scene.job("third")
    scene.put("넷.")
    await scene.quiet()
    assert scene.replies == [["하나."], ["first"], ["둘.", "셋."], ["second"], ["third"], ["넷."]]


async def test_a_job_is_not_interrupted() -> None:
    scene = Scene()
    scene.job("reset", seconds=2.0)
    await scene.pass_(1.0)
    scene.put(FINISHED)
    await scene.quiet()
    assert scene.replies == [["reset"], [FINISHED]]


async def test_words_after_a_job_do_not_interrupt_the_turn_before_it() -> None:
    scene = Scene(seconds=2.0)
    scene.put(FINISHED)
    await scene.pass_(1.0)
    scene.job("reset")
    scene.put("새 질문이에요.")
    await scene.quiet()
    assert scene.given_up == 0
    assert scene.replies == [[FINISHED], ["reset"], ["새 질문이에요."]]


async def test_a_job_ends_the_wait_for_more_pieces() -> None:
    scene = Scene()
    scene.put(FRAGMENT)
    await scene.pass_(0.5)
    scene.job("reset")
    scene.put(FRAGMENT)
    await scene.clock.settle()
    assert scene.replies[:2] == [[FRAGMENT], ["reset"]]
    assert scene.started == [(0.5, [FRAGMENT])]
    await scene.quiet()


async def test_an_aside_bypasses_what_is_under_way() -> None:
    scene = Scene(seconds=5.0)
    done = asyncio.Event()

    async def aside() -> None:
        await sleep(scene.clock, 1.0)
        done.set()

    scene.put(FINISHED)
    scene.turns.aside(aside)
    await scene.clock.settle()
    assert scene.turns.busy == 2
    await scene.pass_(1.0)
    assert done.is_set()
    assert scene.replies == []
    await scene.quiet()


# Failures


async def boom(*_: object) -> None:
    raise RuntimeError("a bug")


async def test_a_turn_that_fails_is_not_the_last() -> None:
    clock = VirtualClock(START)
    replies: list[str] = []

    async def run(messages: Sequence[Message], floor: Floor) -> None:
        if messages[0].text == "0.":
            await boom()
        replies.append(messages[0].text)

    turns = Turns(run, clock=clock, patience=Patience(policy="queue"))
    for number in range(3):
        turns.put(Message(id=str(number), address=at("a"), text=f"{number}.", sent_at=START))
    await clock.settle()
    assert replies == ["1.", "2."]
    assert turns.busy == 0


async def test_a_job_that_fails_is_not_the_last() -> None:
    scene = Scene()
    scene.turns.do(at("a"), boom)
    scene.turns.aside(boom)
    scene.put(FINISHED)
    await scene.clock.settle()
    assert scene.replies == [[FINISHED]]
    await scene.quiet()


# Draining


async def test_drain_waits_for_the_turn_under_way_and_leaves_the_rest() -> None:
    scene = Scene(Patience(policy="queue"), seconds=1.0)
    scene.put("0.", "1.")
    scene.job("later")
    await scene.clock.settle()
    draining = asyncio.create_task(scene.turns.drain(60))
    await scene.pass_(5.0)
    await draining
    assert scene.replies == [["0."]]
    await scene.quiet()


async def test_drain_answers_the_pieces_so_far() -> None:
    scene = Scene(cheap=True)
    scene.put(FRAGMENT)
    await scene.clock.settle()
    await scene.turns.drain(60)
    assert scene.replies == [[FRAGMENT]]
    assert scene.clock.monotonic() == 0.0


async def test_drain_ends_the_second_of_a_cheap_answer() -> None:
    scene = Scene(cheap=True)
    scene.put(OPEN)
    await scene.clock.settle()
    await scene.turns.drain(60)
    assert scene.replies == [[OPEN]]


async def test_drain_gives_up_after_its_time() -> None:
    scene = Scene(seconds=1000.0)

    async def forever() -> None:
        await asyncio.Event().wait()

    scene.put(FINISHED)
    scene.turns.aside(forever)
    await scene.clock.settle()
    await scene.turns.drain(0.01)
    assert scene.given_up == 1
    await scene.quiet()


async def test_drain_ends_a_turn_that_is_being_interrupted() -> None:
    scene = Scene(seconds=1000.0)
    scene.put(FINISHED)
    await scene.clock.settle()
    scene.put("하나 더요.")  # cancels, and before that arrives drain cancels again
    [line] = scene.turns._lines.values()
    assert line.task is not None
    line.task.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(line.task, return_exceptions=True)
    assert line.task.cancelled()
    await scene.quiet()


async def test_nothing_is_taken_after_drain() -> None:
    scene = Scene()
    await scene.turns.drain(1)
    scene.put(FINISHED)
    scene.job("late")
    scene.turns.aside(boom)
    await scene.clock.settle()
    assert scene.started == []
    await scene.quiet()


# Whatever people type

GAPS = st.integers(0, 8).map(lambda tenths: tenths / 10)
PIECES = st.sampled_from(["안녕하세요", "저기요", FRAGMENT, "주문했는데요", "그게...", "order", ""])
ENDS = st.sampled_from([FINISHED, OPEN, FRAGMENT, "환불 부탁드립니다", "Where is my order?"])
SOMETIMES = settings(max_examples=60, deadline=None)


@SOMETIMES
@given(
    pieces=st.lists(st.tuples(PIECES, GAPS), max_size=7),
    end=ENDS,
    seconds=st.sampled_from([0.0, 0.3, 2.0]),
    cheap=st.booleans(),
)
async def test_a_burst_is_one_turn(
    pieces: list[tuple[str, float]], end: str, seconds: float, cheap: bool
) -> None:
    scene = Scene(seconds=seconds, cheap=cheap)
    for text, gap in pieces:
        scene.put(text)
        await scene.pass_(gap)
    scene.put(end)
    await scene.quiet()
    words = [text for text, _ in pieces] + [end]
    assert [texts for _, texts in scene.started] == [words]
    assert scene.replies == [words]


Step = tuple[str, str, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from([FRAGMENT, OPEN, FINISHED, "/job"]),
        st.sampled_from([0.0, 0.0, 0.1, 0.7, 1.5, 3.0]),
    ),
    max_size=24,
)
PATIENCE = st.builds(
    Patience,
    policy=st.sampled_from(["interrupt", "collect", "queue"]),
    restarts=st.integers(0, 3),
    fragment=st.sampled_from([0.0, 1.5]),
    follow_on=st.sampled_from([0.0, 1.0]),
)


async def play(scene: Scene, steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Who said what, each word told from all others."""
    said = []
    for number, (conversation, text, gap) in enumerate(steps):
        if text == "/job":
            name = f"job {number}"
            scene.job(name, conversation, seconds=0.5)
        else:
            name = f"{number} {text}"
            scene.put(name, conversation=conversation)
        said.append((conversation, name))
        if gap:
            await scene.pass_(gap)
    await scene.quiet()
    return said


def of(conversation: str, said: Sequence[tuple[str, str]]) -> list[str]:
    return [text for where, text in said if where == conversation]


@SOMETIMES
@given(
    steps=STEPS,
    patience=PATIENCE,
    collects=st.booleans(),
    cheap=st.booleans(),
    times=st.sampled_from([(0.0, 0.0), (0.4, 0.4), (2.0, 0.0), (2.0, 1.0)]),
)
async def test_every_word_is_answered_once_and_in_order(
    steps: list[Step],
    patience: Patience,
    collects: bool,
    cheap: bool,
    times: tuple[float, float],
) -> None:
    seconds, speaking = times
    scene = Scene(patience, collects=collects, seconds=seconds, speaking=speaking, cheap=cheap)
    said = await play(scene, steps)
    for conversation in "abcd":
        assert of(conversation, scene.answered) == of(conversation, said)
    turns = sum(not texts[0].startswith("job") for texts in scene.replies)
    assert scene.given_up <= patience.restarts * turns
    if patience.policy == "queue":
        assert all(len(texts) == 1 for texts in scene.replies)
    assert sum(scene.new) == sum(not name.startswith("job") for _, name in said)


async def test_many_conversations_run_side_by_side() -> None:
    scene = Scene(Patience(policy="queue"), seconds=1.0)
    names = [f"c{number}" for number in range(200)]
    for number in range(3):
        for name in names:
            scene.put(f"{number}.", conversation=name)
    await scene.clock.settle()
    assert scene.turns.busy == len(scene.running) == 200
    await scene.pass_(3.0)
    assert len(scene.answered) == 600
    for name in names:
        assert of(name, scene.answered) == ["0.", "1.", "2."]
    await scene.quiet()
