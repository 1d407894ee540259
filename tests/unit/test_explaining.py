"""`liqwatch incidents` and `liqwatch explain`: the evidence of an alert, counted anew from the log."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch import explaining
from liqwatch.aggregator.window import RollingTotals
from liqwatch.assembly import build_log
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry
from liqwatch.events import Attempt, Incident, PartitionEvidence, Step
from liqwatch.settings import Settings
from liqwatch.topics import ALERTS, LIQUIDATIONS, TOPICS
from liqwatch.wire import Liquidation, usd_text
from tests.support.liquidations import entry, liquidation

NOW_MS = Clock().now_ms() // 1000 * 1000
SPAN = 300


def settings(folder: Path) -> Settings:
    return Settings.model_validate({"log": {"path": str(folder / "x.db")}})


def course() -> list[Liquidation]:
    """Of several symbols, with repetitions, expired ones, some of later, and one from the future."""
    made = [
        liquidation(f"e{n}", NOW_MS - (n % 400) * 1000, f"{n}.1234565", base=("BTC", "ETH", "SOL")[n % 3],
                    side="long" if n % 2 else "short")
        for n in range(900)
    ]  # fmt: skip
    future = liquidation("f", NOW_MS - 1000, "999", received_time_ms=NOW_MS - 100_000)
    return [*made, *made[:50], future]


async def written(on: Settings, scope: str, *, wrong: bool = False) -> Incident:
    """A log with the course, and an incident whose evidence is what the window says."""
    log = build_log(on, Clock())
    await log.open()
    try:
        await log.create(TOPICS.values())
        events = course()
        positions = await log.append(LIQUIDATIONS, [entry(event) for event in events])
        window, offsets = RollingTotals([("5m", SPAN)]), dict.fromkeys(range(12), -1)
        window.advance(NOW_MS)
        for event, position in list(zip(events, positions, strict=True))[:-1]:
            window.add(event, position.partition)
            offsets[position.partition] = position.offset
        rows = []
        for partition, offset in offsets.items():
            totals = window.totals(partition, scope, "5m")
            long = totals.long.usd + (1 if wrong and totals.long.usd else 0)
            if offset >= 0:
                rows.append(
                    PartitionEvidence(
                        partition=partition, generation=1, as_of_ms=NOW_MS, offset=offset,
                        long_usd=usd_text(long), short_usd=usd_text(totals.short.usd),
                    )
                )  # fmt: skip
        incident = told(scope, tuple(rows))
        value = incident.model_dump_json().encode()
        await log.append(
            ALERTS, [Entry(incident.incident_id.encode(), value, NOW_MS), Entry(b"owner:2:x", None, NOW_MS)]
        )
        return incident
    finally:
        await log.close()


def told(scope: str, evidence: tuple[PartitionEvidence, ...], **changes: Any) -> Incident:
    step = Step(
        kind="fired", at_ms=NOW_MS, usd="5.000000", threshold="1", headline="At least $5.", text="T", evidence=evidence,
        targets=("desk",), attempts=(Attempt(target="desk", number=1, generation=1, at_ms=NOW_MS, outcome="accepted"),),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "incident_id": f"r:{scope}:{NOW_MS}", "rule": "r", "scope": scope, "side": "both", "window": "5m",
        "severity": "warning", "generation": 1, "opened_ms": NOW_MS, "peak_usd": "5.000000", "peak_at_ms": NOW_MS,
        "steps": (step,),
    }  # fmt: skip
    return Incident(**fields | changes)


@pytest.mark.parametrize("scope", ["all", "base=ETH", "venue=binance", "venue=binance,base=SOL", "base=NONE"])
async def test_a_recount_agrees_to_the_micro_dollar(tmp_path: Path, scope: str) -> None:
    incident = await written(settings(tmp_path), scope)
    found = await explaining.explain(settings(tmp_path), incident.incident_id)
    assert found is not None
    assert ["agrees"] == [step.verdict for step in found[1]]
    words = "\n".join(explaining.words(*found))
    assert "agrees to the micro-dollar" in words
    assert "desk: accepted, 1 try" in words.splitlines()[3]
    assert "agrees" == explaining.as_object(*found)["steps"][0]["verdict"]


async def test_a_micro_dollar_too_much_is_seen(tmp_path: Path) -> None:
    incident = await written(settings(tmp_path), "all", wrong=True)
    found = await explaining.explain(settings(tmp_path), incident.incident_id)
    assert found is not None
    assert ["differs"] == [step.verdict for step in found[1]]
    assert "DIFFERS from a recount of liquidations" in "\n".join(explaining.words(*found))


async def test_what_nobody_opened_cannot_be_explained(tmp_path: Path) -> None:
    await written(settings(tmp_path), "all")
    assert await explaining.explain(settings(tmp_path), "nope") is None


async def test_incidents_are_listed_open_ones_first(tmp_path: Path) -> None:
    incident = await written(settings(tmp_path), "all")
    log = build_log(settings(tmp_path), Clock())
    await log.open()
    over = told("base=X", (), closed_ms=NOW_MS + 1000)
    newest = told("base=Y", (), opened_ms=NOW_MS + 5, incident_id="newest")
    await log.append(
        ALERTS, [Entry(one.incident_id.encode(), one.model_dump_json().encode(), NOW_MS) for one in (over, newest)]
    )
    await log.close()
    found = await explaining.incidents(settings(tmp_path))
    assert ["newest", incident.incident_id, over.incident_id] == [one.incident_id for one in found]
    lines = explaining.listing(found, NOW_MS + 60_000)
    assert lines[0].endswith("open for 59 s, at most $5, 1 step")
    assert "closed after 1 s" in lines[4]


def test_what_is_not_retained_is_no_difference() -> None:
    row = PartitionEvidence(partition=0, generation=1, as_of_ms=NOW_MS, offset=9, long_usd="5.000000", short_usd="0.0")
    recount = explaining.Recount(row, "all", 0, NOW_MS // 1000)
    assert "differs" == recount.verdict
    recount.is_retained = False
    assert "not retained" == recount.verdict
    recount.take(9, liquidation("a", NOW_MS, "5"))
    assert "agrees" == recount.verdict
    recount.take(10, liquidation("later", NOW_MS, "5"))  # not contained in the evidence
    assert "agrees" == recount.verdict


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 700)), max_size=60))
def test_a_recount_is_what_the_window_holds(events: list[tuple[int, int]]) -> None:
    made = [liquidation(f"e{name}:{ago}", NOW_MS - ago * 1000, f"{name}.5") for name, ago in events]
    window = RollingTotals([("5m", SPAN), ("24h", 86_400)])
    window.advance(NOW_MS)
    row = PartitionEvidence(partition=0, generation=1, as_of_ms=NOW_MS, offset=10**6, long_usd="0.0", short_usd="0.0")
    second = NOW_MS // 1000
    recount = explaining.Recount(row, "all", second - SPAN + 1, second)
    for offset, event in enumerate(made):
        window.add(event)
        recount.take(offset, event)
    assert window.usd(0, "all", "long", "5m") == recount.long


def at(second: int, *attempts: Attempt, targets: tuple[str, ...] = ("desk",)) -> Step:
    (step,) = told("all", ()).steps
    return step.model_copy(update={"at_ms": NOW_MS + second * 1000, "targets": targets, "attempts": attempts})


def tried(outcome: str | None, number: int = 1, target: str = "desk", **more: Any) -> Attempt:
    fields = {"target": target, "number": number, "generation": 1, "at_ms": NOW_MS, "outcome": outcome}
    return Attempt.model_validate(fields | more)


async def whereabouts(folder: Path, *known: Incident, **target: Any) -> list[str]:
    """What is said of the target after each step of the first incident."""
    on = Settings.model_validate(
        {"log": {"path": str(folder / "x.db")}, "targets": {"desk": {"kind": "console"} | target}}
    )
    log = build_log(on, Clock())
    await log.open()
    await log.create(TOPICS.values())
    await log.append(ALERTS, [Entry(one.incident_id.encode(), one.model_dump_json().encode(), NOW_MS) for one in known])
    await log.close()
    found = await explaining.explain(on, known[0].incident_id)
    assert found is not None
    return [line.strip() for line in explaining.words(*found) if line.startswith("    desk: ")]


NOT_TRIED, WAITS = "desk: not tried yet", "desk: waits behind an earlier message"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((at(0),), [NOT_TRIED]),
        ((at(0), at(5)), [NOT_TRIED, WAITS]),
        ((at(0, tried("not_sent", 7)), at(5), at(9)), ["desk: not_sent, 1 try", WAITS, WAITS]),
        ((at(0, tried(None)), at(5)), ["desk: under way, 1 try", WAITS]),
        ((at(0, tried("accepted")), at(5)), ["desk: accepted, 1 try", NOT_TRIED]),
        ((at(0, tried("refused")), at(5)), ["desk: refused, 1 try", NOT_TRIED]),
        ((at(0, targets=("other",)), at(5)), [NOT_TRIED]),  # of another target: it holds up nothing here
        (
            (at(0, tried("unknown"), tried("unknown", 2, repeat=True)), at(5)),
            ["desk: unknown, 2 tries, 1 repeat", WAITS],
        ),
        (  # the refusal of another target is told here, and has not been taken yet
            (at(0, tried("refused", target="other"), tried("not_sent", about="other"), targets=("other",)), at(5)),
            [WAITS],
        ),
    ],
)
async def test_a_message_that_waits_for_an_earlier_one_is_said_to(
    tmp_path: Path, steps: tuple[Step, ...], said: list[str]
) -> None:
    assert said == await whereabouts(tmp_path, told("all", (), steps=steps))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (at(-5, tried("not_sent")), WAITS),
        (at(-5), WAITS),
        (at(0, tried("not_sent")), WAITS),  # decided at the same time, and its turn came first
        (at(0), NOT_TRIED),
        (at(-5, tried("accepted")), NOT_TRIED),
        (at(5), NOT_TRIED),
    ],
)
async def test_a_target_that_another_incident_keeps_busy_is_said_to_be(tmp_path: Path, other: Step, said: str) -> None:
    mine, its = told("all", (), steps=(at(0),)), told("base=X", (), steps=(other,))
    assert [said] == await whereabouts(tmp_path, mine, its)


async def test_what_is_held_for_ever_holds_up_nothing(tmp_path: Path) -> None:
    steps = (at(0, tried("unknown")), at(5))
    said = await whereabouts(tmp_path, told("all", (), steps=steps), on_unknown="hold")
    assert ["desk: unknown, 1 try", NOT_TRIED] == said


def test_explained_records_are_json() -> None:
    incident = told("all", ())
    assert orjson.dumps(explaining.as_object(incident, [explaining.Explained(incident.steps[0], [])]))
