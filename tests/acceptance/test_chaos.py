"""A few runs of every fault of `make chaos`: nothing is lost, and nothing is told twice without saying so."""

from dataclasses import replace
from pathlib import Path

import pytest

from chaos import reference
from chaos.counts import Alert, Counts, count
from chaos.deaths import POINTS
from chaos.fault import Fault
from chaos.faults import FAULTS, chat
from chaos.page import table
from chaos.rounds import Played
from tests.support.kafka_broker import running_broker
from tests.support.required import missing

SEED = 7
RUNS = {"kill-steps": 11, "kill-random": 4, "clock-steps": 3, "reload": 3, "two-killed": 1, "chat-dead": 1}  # else 2
SETTLE = 1.0  # seconds in which a copy too many would come; a longer while is for `make chaos`
TWENTY_MINUTES = 1200 / chat.SPEED


def short(fault: Fault) -> Fault:
    """The same, with less time for it."""
    if fault.name == "chat-dead":
        fault = replace(fault, play=chat.away(TWENTY_MINUTES))
    return replace(fault, runs=RUNS.get(fault.name, 2), settle=SETTLE, reference_settle=SETTLE)


EMBEDDED = [short(fault) for fault in FAULTS if not fault.needs_kafka]
ON_KAFKA = [short(fault) for fault in FAULTS if fault.needs_kafka]


def harmless(counts: Counts, runs: int) -> None:
    assert ((), 0) == (counts.missing, counts.unmarked)
    assert (runs, 9 * runs) == (counts.runs, counts.due)
    assert counts.hits > 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", EMBEDDED, ids=lambda fault: fault.name)
async def test_whatever_happens_every_alert_arrives_and_a_repeat_says_so(fault: Fault, tmp_path: Path) -> None:
    counts = await fault.on_liqwatch(SEED, fault.runs, tmp_path)
    harmless(counts, fault.runs)
    if fault.name == "kill-steps":
        assert set(POINTS) == set(counts.struck)


@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ON_KAFKA, ids=lambda fault: fault.name)
async def test_on_kafka_too_with_a_second_alerter_that_takes_over(fault: Fault, tmp_path: Path) -> None:
    with running_broker(tmp_path / "broker") as broker:
        counts = await fault.on_liqwatch(
            SEED, fault.runs, tmp_path / "liqwatch", bootstrap=broker.bootstrap, broker=broker
        )
    harmless(counts, fault.runs)


@pytest.mark.timeout(120)
async def test_the_reference_is_hit_by_the_same_faults(tmp_path: Path) -> None:
    """It forgets what it had taken when it is killed, and is not told again: so the counting sees a loss."""
    if not reference.present():
        missing("prometheus-alertmanager not found: on Debian, apt-get install prometheus-alertmanager")
    fault = next(fault for fault in EMBEDDED if fault.name == "kill-steps")
    counts = await fault.on_alertmanager(SEED, 1, tmp_path, repeats=False)
    assert counts is not None and (1, 1, 4) == (counts.runs, counts.hits, counts.due)
    assert counts.lost > 0


A, B, C = (Alert("telegram", "K00000", step) for step in ("fired", "stepped_up", "cleared"))


@pytest.mark.parametrize(
    ("told", "lost", "repeated", "unmarked", "marked_first"),
    [
        ({A: [False], B: [False]}, 0, 0, 0, 0),
        ({A: [False]}, 1, 0, 0, 0),
        ({A: [True], B: [False]}, 0, 0, 0, 1),
        ({A: [False, True], B: [True, False]}, 0, 2, 0, 0),
        ({A: [False, False], B: [True, False, False]}, 0, 3, 2, 0),
        ({A: [False], B: [False], C: [False]}, 0, 1, 1, 0),
    ],
)
def test_what_counts_as_lost_and_as_repeated(
    told: dict[Alert, list[bool]], lost: int, repeated: int, unmarked: int, marked_first: int
) -> None:
    counts = count([A, B], told, runs=1, hits=1)
    assert (lost, repeated, unmarked, marked_first) == (
        counts.lost,
        counts.repeated,
        counts.unmarked,
        counts.marked_first,
    )


def test_the_table_has_a_row_for_each_fault_and_says_what_was_not_played() -> None:
    played = [
        Played("a", "A fault", "docs", Counts(2, 2, 18, 0, 3, 0), Counts(2, 2, 8, 1, 2, 2), None),
        Played("b", "Another", "docs", None, None, None),
    ]
    rows = table(played)[2:]
    assert [
        "| A fault | 2 (2) | 18 | 0 | 3 | 0 | 2 (2) | 8 | 1 | 2 | n/a | – | – | – |",
        "| Another | not run here | – | – | – | – | n/a | – | – | – | n/a | – | – | – |",
    ] == rows


def test_every_fault_has_a_name_of_its_own_and_orders_the_same_for_the_same_seed() -> None:
    names = [fault.name for fault in FAULTS]
    assert sorted(set(names)) == sorted(names)
