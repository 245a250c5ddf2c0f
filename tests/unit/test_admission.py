"""How many answers are generated at a time, and who is next."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import admission
from bot.admission import Admission
from brain.errors import Busy
from brain.messages import Address


def who(number: int) -> Address:
    return Address(channel="fake", conversation=f"c{number}", user="u")


class Hall:
    """Customers who ask for the model and keep it until they are told to leave."""

    def __init__(self, parallel: int = 1, queue: int = 10) -> None:
        self.admission = Admission(parallel=parallel, queue=queue)
        self.holding: list[int] = []
        self.served: list[int] = []
        self.busy: list[tuple[int, int]] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.may_leave: dict[int, asyncio.Event] = {}

    async def _visit(self, number: int) -> None:
        try:
            async with self.admission.slot(who(number)):
                self.holding.append(number)
                self.served.append(number)
                try:
                    await self.may_leave[number].wait()
                finally:
                    self.holding.remove(number)
        except Busy as busy:
            self.busy.append((number, busy.ahead))

    async def come(self, *numbers: int) -> None:
        for number in numbers:
            self.may_leave[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._visit(number))
        await self.settle()

    async def leave(self, *numbers: int) -> None:
        for number in numbers:
            self.may_leave[number].set()
        await self.settle()

    async def interrupt(self, *numbers: int) -> None:
        for number in numbers:
            self.tasks[number].cancel()
        await self.settle()

    @staticmethod
    async def settle() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


async def test_first_come_first_served() -> None:
    hall = Hall(parallel=2)
    await hall.come(1, 2, 3, 4, 5)
    assert hall.holding == [1, 2]
    assert hall.admission.waiting == 3
    await hall.leave(2)
    await hall.come(6)
    await hall.leave(1, 3, 4, 5, 6)
    assert hall.served == [1, 2, 3, 4, 5, 6]
    assert hall.holding == []
    assert hall.admission.waiting == 0


@pytest.mark.parametrize("queue", [0, 1, 3])
async def test_more_than_may_wait_hear_that_it_is_busy(queue: int) -> None:
    hall = Hall(parallel=1, queue=queue)
    await hall.come(*range(queue + 3))
    assert hall.busy == [(queue + 1, queue), (queue + 2, queue)]
    await hall.leave(0)
    await hall.come(100)
    assert len(hall.busy) == 2
    await hall.close()


async def test_without_a_queue_a_free_model_still_answers() -> None:
    hall = Hall(parallel=1, queue=0)
    await hall.come(1)
    await hall.leave(1)
    await hall.come(2)
    assert hall.served == [1, 2]
    await hall.close()


async def test_who_is_interrupted_while_waiting_keeps_the_place() -> None:
    hall = Hall(queue=3)
    await hall.come(0, 1, 2, 3)
    await hall.interrupt(1)
    assert hall.admission.waiting == 2
    await hall.come(4)
    await hall.come(1)  # though three wait already
    assert hall.busy == []
    await hall.leave(0)
    assert hall.holding == [1]
    await hall.leave(1, 2, 3, 4)
    assert hall.served == [0, 1, 2, 3, 4]


async def test_who_is_interrupted_again_and_again_keeps_it_too() -> None:
    hall = Hall()
    await hall.come(0, 1, 2)
    for _ in range(5):
        await hall.interrupt(1, 2)
        await hall.come(2, 1)
    await hall.leave(0, 1, 2)
    assert hall.served == [0, 1, 2]


async def test_who_is_interrupted_while_being_answered_is_next() -> None:
    hall = Hall(parallel=1, queue=2)
    await hall.come(0, 1, 2)
    await hall.interrupt(0)
    assert hall.holding == [1]
    await hall.come(3)
    await hall.come(0)
    assert hall.busy == []
    await hall.leave(1, 0, 2, 3)
    assert hall.served == [0, 1, 0, 2, 3]


async def test_a_slot_given_to_someone_who_has_just_left_goes_to_the_next() -> None:
    hall = Hall()
    await hall.come(0, 1, 2)
    hall.may_leave[0].set()
    await asyncio.sleep(0)
    hall.tasks[1].cancel()
    await hall.settle()
    assert hall.holding == [2]
    await hall.leave(2)
    await hall.come(3)
    assert hall.holding == [3]
    await hall.close()


async def test_someone_who_leaves_at_the_same_moment_is_passed_over() -> None:
    hall = Hall()
    await hall.come(0, 1, 2)
    hall.tasks[1].cancel()
    hall.may_leave[0].set()
    await hall.settle()
    assert hall.holding == [2]
    await hall.close()


async def test_a_failing_answer_gives_its_slot_back() -> None:
    hall = Admission(parallel=1, queue=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with hall.slot(who(1)):
                raise ZeroDivisionError


async def test_only_so_many_places_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "REMEMBERED", 3)
    hall = Hall(queue=100)
    await hall.come(*range(10))
    await hall.interrupt(*range(1, 10))
    assert len(hall.admission._places) == 3
    await hall.close()


@settings(max_examples=150, deadline=None)
@given(
    parallel=st.integers(1, 3),
    queue=st.integers(0, 4),
    moves=st.lists(
        st.tuples(st.sampled_from(["come", "leave", "interrupt", "both"]), st.integers(0, 7)),
        max_size=40,
    ),
)
async def test_whoever_comes_and_goes_the_slots_are_neither_lost_nor_doubled(
    parallel: int, queue: int, moves: list[tuple[str, int]]
) -> None:
    hall = Hall(parallel, queue)
    for move, number in moves:
        task = hall.tasks.get(number)
        here = task is not None and not task.done()
        if move == "come" and not here:
            await hall.come(number)
        elif move == "leave" and here:
            await hall.leave(number)
        elif move == "interrupt" and here:
            await hall.interrupt(number)
        elif move == "both" and here:
            hall.may_leave[number].set()
            await hall.interrupt(number)
        assert len(hall.holding) <= parallel
        if len(hall.holding) < parallel:
            assert hall.admission.waiting == 0
    for number in range(8):
        if number in hall.may_leave:
            hall.may_leave[number].set()
    await asyncio.gather(*hall.tasks.values(), return_exceptions=True)
    assert hall.admission.waiting == 0
    await hall.come(*range(10, 10 + parallel))
    assert hall.holding == list(range(10, 10 + parallel))
    await hall.close()


async def test_spare_time_is_when_nobody_holds_the_model_and_ends_when_somebody_comes() -> None:
    hall = Hall(parallel=2)
    await hall.come(0)
    begun, over = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await over.wait()
        return "done"

    spare = asyncio.create_task(hall.admission.spare(work))
    await hall.settle()
    assert not begun.is_set()
    await hall.leave(0)
    await begun.wait()
    await hall.come(1)
    assert hall.holding == [1]
    assert await spare is None
    await hall.leave(1)
    over.set()
    assert await hall.admission.spare(work) == "done"
    await hall.close()


async def test_spare_work_that_fails_or_is_cancelled_leaves_the_model_free() -> None:
    hall = Admission(parallel=1, queue=0)

    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await hall.spare(fails)
    endless = asyncio.create_task(hall.spare(asyncio.Event().wait))
    await asyncio.sleep(0)
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless
    async with hall.slot(who(1)):
        pass
