"""The first attempts that are put on record together with a decision."""

import pytest

from liqwatch.alerter.journal import Journal, Receipt
from liqwatch.events import Incident
from liqwatch.topics import ALERTS
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer, Fault
from tests.support.crashing_log import CrashingLog


def records(on: Stage) -> list[list[tuple[str, int, str | None]]]:
    """Of each record the attempts for its newest step: target, number, outcome."""
    states = [Incident.model_validate_json(record.value) for record in on.log.all(ALERTS) if record.value is not None]
    return [[(one.target, one.number, one.outcome) for one in state.steps[-1].attempts] for state in states]


async def test_every_target_that_is_free_has_its_attempt_in_the_decision() -> None:
    async with ChatServer() as chat, ChatServer([Fault("slow", seconds=0.3)]) as slow:
        targets = {"desk": chat.target("telegram"), "slow": slow.target("webhook")}
        async with Stage([longs()], targets, log=CrashingLog()) as on:
            await on.start()
            await on.total(1_200_000_000)
            await slow.wait_for(1)
            await on.total(1_800_000_000)  # while one of them still waits for its first answer
            await until(lambda: on.outcomes("slow")[1:] == [("stepped_up", "accepted", False)])
            assert [("desk", 1, None), ("slow", 1, None)] == records(on)[0]
            step = next(number for number, one in enumerate(records(on)) if number and ("desk", 1, None) in one)
            assert [("desk", 1, None)] == records(on)[step]
            assert 2 == len(chat.accepted) == len(slow.accepted)


@pytest.mark.parametrize("kind", ["telegram", "webhook"])
async def test_what_was_booked_and_not_sent_before_the_end_is_told_after_it_and_is_no_repeat(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, waiting = Journal.confirmed, False

    async def never(self: Journal, receipt: Receipt) -> None:
        nonlocal waiting
        await real(self, receipt)
        waiting = True
        await receipt.done.get_loop().create_future()

    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target(kind)}, log=CrashingLog()) as on:
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "confirmed", never)
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: waiting)
            await one.end()
        assert [("desk", 1, "not_sent")] == records(on)[-1]
        assert 0 == chat.requests
        await on.start()
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        assert ["repeat of" in text for text in chat.texts()] == [False]
