"""The loop of all engines, with workers that do as they are told by the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import pytest

from zarts.execute.crew import LONGEST_TICK, Backlog, Crew, Engine, Lost, Worker
from zarts.execute.messages import Message
from zarts.execute.outcome import ATTEMPTS, Failure, Outcome


class Puppet(Worker[int]):
    """Says what is in its script; an empty one means it has nothing to say."""

    def __init__(self, script: Sequence[Message | Lost]) -> None:
        super().__init__()
        self.script = deque(script)
        self.dealt: list[int] = []
        self.dismissed = False

    def deal(self, item: int) -> None:
        self.dealt.append(item)

    def hear(self) -> Message | None:
        word = self.script.popleft()
        if isinstance(word, Lost):
            raise word
        return word

    def dismiss(self) -> None:
        self.dismissed = True


class Stage(Engine[int]):
    """Hires puppets with the scripts of the test, in turn."""

    def __init__(self, *scripts: Sequence[Message | Lost], room: int = 1) -> None:
        self.scripts, self.room = deque(scripts), room
        self.puppets: list[Puppet] = []

    def size(self) -> int:
        return self.room

    def hire(self) -> Puppet:
        self.puppets.append(Puppet(self.scripts.popleft()))
        return self.puppets[-1]

    def wait(self, workers: Sequence[Worker[int]], seconds: float) -> list[Worker[int]]:
        return [worker for worker in workers if worker.script]

    def hopeless(self, misses: int, how: str) -> Exception | None:
        return ChildProcessError(how) if misses == ATTEMPTS else None

    def close(self) -> None:
        raise AssertionError("the crew does not own its engine")


READY: Message = ("ready", None)


def final(value: int) -> Message:
    return "final", value


def crew(
    engine: Stage,
    items: Sequence[int],
    *,
    limit: Callable[[int], float] = lambda item: 9.0,
    split: Callable[[int], Sequence[int]] = lambda item: (item,),
) -> Iterator[Outcome]:
    return Crew(engine, Backlog(items, split), limit).do(lambda: None)


def test_the_next_item_is_dealt_before_the_caller_takes_its_time() -> None:
    stage = Stage([READY, final(5), final(6)])
    outcomes = crew(stage, [50, 60])
    assert next(outcomes) == Outcome(50, 5, final=True)
    assert stage.puppets[0].dealt == [50, 60]


def test_no_more_are_hired_than_there_is_work_for() -> None:
    stage = Stage([READY, final(5)], room=8)
    assert list(crew(stage, [50])) == [Outcome(50, 5, final=True)]
    assert len(stage.puppets) == 1


def test_more_are_hired_when_there_is_room() -> None:
    stage = Stage([READY, *map(final, (5, 6, 7, 8))], [READY, final(8)])
    outcomes = crew(stage, [50, 60, 70, 80])
    assert next(outcomes).item == 50
    stage.room = 2
    assert [outcome.value for outcome in outcomes] == [6, 7, 8]
    assert len(stage.puppets) == 2


def test_who_has_no_work_is_let_go() -> None:
    stage = Stage([READY, final(5)], [READY], room=2)
    outcomes = crew(stage, [50, 60])
    assert next(outcomes).item == 50
    assert [puppet.dismissed for puppet in stage.puppets] == [True, False]


def test_a_lost_item_is_next_and_its_pieces_inherit_the_attempts() -> None:
    lost, pieces = Lost("so"), {10: (1, 2)}
    scripts = [[lost], [lost], [final(5), lost], [lost], [final(9)]]
    stage = Stage(*([READY, *script] for script in scripts))
    assert list(crew(stage, [10, 99], split=lambda item: pieces.get(item, (item,)))) == [
        Outcome(1, 5, final=True),
        Outcome(2, Failure(f"its worker ended {ATTEMPTS} times, last so"), final=True),
        Outcome(99, 9, final=True),
    ]
    assert [puppet.dealt for puppet in stage.puppets] == [[10], [1], [1, 2], [2], [99]]


def test_an_item_fails_after_its_attempts() -> None:
    stage = Stage(*[[READY, Lost("so")]] * ATTEMPTS, [READY, final(6)])
    failure = Failure(f"its worker ended {ATTEMPTS} times, last so")
    assert list(crew(stage, [50, 60])) == [
        Outcome(50, failure, final=True),
        Outcome(60, 6, final=True),
    ]


def test_a_worker_lost_before_it_is_ready_blames_no_item() -> None:
    stage = Stage(*[[Lost("so")]] * (ATTEMPTS - 1), [READY, final(5)])
    assert list(crew(stage, [50])) == [Outcome(50, 5, final=True)]
    stage = Stage(*[[Lost("so")]] * ATTEMPTS)
    with pytest.raises(ChildProcessError, match="so"):
        list(crew(stage, [50]))


def test_what_is_done_comes_before_an_error() -> None:
    stage = Stage([READY, final(5)], [READY, ("error", KeyError("six"))], room=2)
    outcomes = crew(stage, [50, 60])
    assert next(outcomes) == Outcome(50, 5, final=True)
    with pytest.raises(KeyError, match="six"):
        next(outcomes)


def test_time_in_which_this_process_stood_still_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("zarts.execute.crew.time.monotonic", lambda: now[0])

    class Sleepy(Stage):
        def wait(self, workers: Sequence[Worker[int]], seconds: float) -> list[Worker[int]]:
            now[0] += 3600.0  # Ctrl-Z, and on the next day fg
            self.polls = getattr(self, "polls", 0) + 1
            return [worker for worker in workers if self.polls in {1, 4}]

    stage = Sleepy([READY, final(5)])
    assert list(crew(stage, [50], limit=lambda item: 3 * LONGEST_TICK)) == [
        Outcome(50, 5, final=True)
    ]


def test_a_setup_may_take_ten_times_what_the_slowest_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("zarts.execute.crew.time.monotonic", lambda: now[0])

    class Slow(Stage):
        def wait(self, workers: Sequence[Worker[int]], seconds: float) -> list[Worker[int]]:
            now[0] += LONGEST_TICK
            told = [self.puppets[0]] if now[0] == 20 else []
            return [*told, *super().wait([self.puppets[-1]] if len(self.puppets) > 2 else [], 0)]

    # The first is ready after 20 s and then works for ever; the second is given up ten times later.
    stage = Slow([READY], [], [READY, final(6), final(7)], room=2)
    outcomes = crew(stage, [50, 60, 70], limit=lambda item: 1e9)
    assert [next(outcomes).item for _ in range(2)] == [60, 70]
    assert [puppet.dismissed for puppet in stage.puppets] == [False, True, True]
    assert 180 < now[0] < 210
