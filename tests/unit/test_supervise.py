"""Backoff, budgets, outages told once, and keeping a coroutine alive."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from liqwatch.supervise import Backoff, Budget, GiveUp, Outage, Retry, Verdict, keep_alive


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(first=1.0, cap=10.0, random=lambda: 1.0)
    assert [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] == [backoff.next() for _ in range(6)]
    backoff.reset()
    assert 1.0 == backoff.next()


def test_jitter_is_full_but_never_nothing() -> None:
    backoff = Backoff(first=1.0, cap=10.0, random=lambda: 0.0)
    assert [0.5, 0.5, 0.5] == [backoff.next() for _ in range(3)]


def test_the_other_sides_wish_is_kept_and_spread() -> None:
    assert 30.0 == Backoff(random=lambda: 0.0).next(at_least=30.0)
    assert 33.0 == pytest.approx(Backoff(random=lambda: 1.0).next(at_least=30.0))


def test_many_failures_do_not_overflow() -> None:
    backoff = Backoff(failures=5000, random=lambda: 1.0)
    assert 30.0 == backoff.next()


def test_a_budget_allows_so_many_uses_in_its_time() -> None:
    clock = Clock()
    budget = Budget(2, 10.0, clock)
    budget.use()
    clock.now = 4.0
    budget.use()
    assert 6.0 == budget.wait()
    clock.now = 10.5
    assert 0.0 == budget.wait()
    budget.use()
    assert 3.5 == budget.wait()


def test_an_outage_is_told_once_down_and_once_up() -> None:
    clock = Clock()
    lines: list[tuple[str, str, object]] = []

    class Log:
        def warning(self, event: str, **more: object) -> None:
            lines.append(("warning", event, more["reason"]))

        def info(self, event: str, **more: object) -> None:
            lines.append(("info", event, more["away_seconds"]))

    outage = Outage("venue", Log(), clock)
    assert not outage.up()
    assert outage.down("refused")
    clock.now = 5.0
    assert not outage.down("reset")
    assert "reset" == outage.reason
    clock.now = 12.0
    assert outage.up(ago=2.0)
    assert [("warning", "venue is down", "refused"), ("info", "venue is back", 10.0)] == lines


async def test_work_is_tried_again_and_told_once_until_it_was_useful() -> None:
    backoff = Backoff(first=0.001, cap=0.002)
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 4:
            backoff.reset()
        if tries < 6:
            raise OSError("away")

    with capture_logs() as lines:
        await keep_alive("thing", work, lambda error: Retry(str(error)), backoff=backoff)
    assert ["thing is down", "thing is back", "thing is down"] == [line["event"] for line in lines]


async def test_giving_up_raises_and_says_why() -> None:
    seen: list[Verdict] = []

    async def work() -> None:
        raise ValueError("hopeless")

    with capture_logs() as lines, pytest.raises(ValueError, match="hopeless"):
        await keep_alive("thing", work, lambda _: GiveUp("no use"), on_down=seen.append)
    assert [GiveUp("no use")] == seen
    assert [("gave up", "no use")] == [(line["event"], line["reason"]) for line in lines]


async def test_a_wait_that_is_asked_for_is_waited() -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        raise OSError("away")

    running = asyncio.create_task(keep_alive("thing", work, lambda _: Retry("no", timedelta(seconds=60))))
    await asyncio.sleep(0.05)
    assert 1 == tries
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
