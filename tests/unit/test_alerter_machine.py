"""The incident machine against everything at once: totals, time, restarts, reloads, silences, stale spells.

The parts are those of the service, put together without its I/O: rules in force, memories, records, muting. What must
hold after every step: never two open incidents for one rule and scope, never a step told twice in an incident, and
exactly one "cleared" at the end of each.
"""

from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from liqwatch.alerter.incidents import View, close_unannounced, tell
from liqwatch.alerter.judging import Judging, why_orphaned
from liqwatch.alerter.muting import Muted, Muting, told_targets
from liqwatch.alerter.percentiles import Yardstick
from liqwatch.alerter.rules import Verdict
from liqwatch.alerter.silences import SilenceBook
from liqwatch.events import Incident, Silence, UsualTotals
from liqwatch.relative import PERCENTILES
from liqwatch.settings import RuleSettings
from liqwatch.totals import Sum
from liqwatch.wire import micros

MILLION = 10**12
SCOPES = ("all", "base=BTC", "base=ETH")
TARGETS = ("desk", "pager")


def made(**changes: Any) -> RuleSettings:
    return RuleSettings.model_validate({"side": "long", "clear_hold": "2s"} | changes)


MARKET = made(name="market", thresholds=["100M", "200M", "400M"], repeat="60s")
COINS = made(name="coins", scope="each base", thresholds=["10M", "50M"], hold="1s", held_back_by=["market"])
RULE_SETS = {
    "both": (MARKET, COINS),
    "other steps": (made(name="market", thresholds=["150M", "300M"]), COINS),
    "no coins": (MARKET,),
    "relative": (made(name="market", thresholds=["2 x p95", "3 x p99"], floor="80M", repeat="60s"), COINS),
    "another total": (made(name="market", window="1h", thresholds=["100M"]), COINS),
    "none": (),
}


class IncidentMachine(RuleBasedStateMachine):
    """The service's `_judge`, `_tell`, `_close_orphans` and `_on_turn`, on a clock of its own."""

    @initialize()
    def begin(self) -> None:
        self.now_ms = 1_764_000_000_000
        self.totals = dict.fromkeys(SCOPES, 0)
        self.log: dict[str, Incident] = {}  # what a restart reads
        self.generation = 1
        self.silences = SilenceBook()
        self.rules = RULE_SETS["both"]
        self.judging = Judging(self.rules)
        self.open: dict[tuple[str, str], str] = {}
        self.muting = Muting(self.silences, (), lambda: self.open, lambda: self.log)
        self.is_stale = self.unseen = False
        self.usual: Yardstick | None = None
        self.opened_with: dict[str, UsualTotals] = {}

    @rule(millions=st.sampled_from((None, 0, 20, 50, 90, 200)))
    def hour(self, millions: int | None) -> None:
        """What is usual moves with the hour; None: it is not known."""
        self.usual = (
            None if millions is None else Yardstick(tuple((p, millions * MILLION) for p in PERCENTILES), 12, 1, 29)
        )
        self.touch_all()
        self.judge()

    @rule(scope=st.sampled_from(SCOPES), millions=st.sampled_from((0, 5, 9, 10, 50, 99, 100, 149, 199, 201, 399, 500)))
    def total(self, scope: str, millions: int) -> None:
        self.totals[scope] = millions * MILLION
        for window in ("24h", "1h"):
            self.judging.touch(window, scope)
        self.judge()

    @rule(seconds=st.sampled_from((0, 1, 2, 3, 61, -5)))
    def time(self, seconds: int) -> None:
        self.now_ms += seconds * 1000
        self.judging.touch_remembered()
        self.judge()

    @rule()
    def restart(self) -> None:
        """Another alerter takes over, and knows what the log says."""
        self.generation += 1
        self.judging = Judging(self.rules)
        self.open.clear()
        self.close_orphans()
        self.judging.recall(self.log)
        self.open.update({(one.rule, one.scope): one.incident_id for one in self.log.values() if one.closed_ms is None})
        self.touch_all()
        self.judge()

    @rule(name=st.sampled_from(sorted(RULE_SETS)))
    def reload(self, name: str) -> None:
        self.rules = RULE_SETS[name]
        self.judging.use(self.rules)
        self.close_orphans()
        self.touch_all()
        self.judge()

    @rule(name=st.sampled_from(("market", "coins")), until=st.sampled_from((0, 5, 120)))
    def silence(self, name: str, until: int) -> None:
        one = Silence(
            silence_id=name, matcher={"rule": name}, reason="r", author="a", from_ms=0,
            until_ms=self.now_ms + until * 1000,
        )  # fmt: skip
        self.silences.take(name.encode(), one.model_dump_json().encode())

    @rule(is_stale=st.booleans())
    def staleness(self, is_stale: bool) -> None:
        self.is_stale = is_stale
        self.judge()

    def touch_all(self) -> None:
        for scope in SCOPES:
            for window in ("24h", "1h"):
                self.judging.touch(window, scope)

    def close_orphans(self) -> None:
        for incident in list(self.log.values()):
            why = None if incident.closed_ms is not None else why_orphaned(incident, self.judging.rules)
            if why is not None:
                self.log[incident.incident_id] = close_unannounced(incident, why, self.now_ms, self.generation)
                self.open.pop((incident.rule, incident.scope), None)

    def judge(self) -> None:
        if self.is_stale:
            self.unseen = True
            return
        if self.unseen:
            self.unseen = False
            self.judging.restart_holds(self.now_ms)
        for one, scope in self.judging.due():
            verdict = self.judging.ask(one, scope, self.totals[scope], self.now_ms, self.usual)
            if verdict is not None:
                self.tell(one, scope, verdict)

    def tell(self, one: RuleSettings, scope: str, verdict: Verdict) -> None:
        incident = self.log.get(self.open.get((one.name, scope), ""))
        found = self.muting.targets(one, scope, self.now_ms)
        if verdict.kind == "cleared" and incident is not None:
            targets, held_back = told_targets(incident, TARGETS), None
        else:
            targets, held_back = ((), found.words) if isinstance(found, Muted) else (TARGETS, None)
        if held_back is not None and verdict.kind == "reminded":
            return
        view = View(self.now_ms, Sum(long=self.totals[scope]))
        told = tell(
            one, scope, incident, verdict, view,
            generation=self.generation, targets=targets, held_back=held_back, known=self.log,
        )  # fmt: skip
        assert incident is not None or told.incident_id not in self.log, "an incident of that id was there before"
        self.log[told.incident_id] = told
        if told.closed_ms is None:
            self.open[one.name, scope] = told.incident_id
        else:
            self.open.pop((one.name, scope), None)

    @invariant()
    def one_open_incident_for_a_rule_and_scope(self) -> None:
        lasting = [(one.rule, one.scope) for one in self.log.values() if one.closed_ms is None]
        assert len(lasting) == len(set(lasting))
        assert {pair: self.log[incident].rule for pair, incident in self.open.items()} == {p: p[0] for p in lasting}

    @invariant()
    def no_step_is_told_twice_and_the_end_is_one(self) -> None:
        for incident in self.log.values():
            kinds = [step.kind for step in incident.steps]
            assert "fired" == kinds[0]
            assert "fired" not in kinds[1:]
            assert (incident.closed_ms is not None) == (kinds[-1] == "cleared")
            assert "cleared" not in kinds[:-1]
            rungs = [float(step.threshold) for step in incident.steps if step.kind in ("fired", "stepped_up")]
            assert rungs == sorted(set(rungs))
            times = [step.at_ms for step in incident.steps]
            assert times == sorted(set(times))
            assert incident.closed_ms in (None, times[-1])
            assert micros(incident.peak_usd) >= max(
                micros(step.usd) for step in incident.steps if step.kind != "cleared"
            )

    @invariant()
    def what_was_usual_stays_with_the_incident(self) -> None:
        for incident in self.log.values():
            if incident.usual is not None:
                assert incident.usual == self.opened_with.setdefault(incident.incident_id, incident.usual)
            else:
                assert incident.incident_id not in self.opened_with

    @invariant()
    def who_was_told_a_step_is_told_the_end_and_nobody_else(self) -> None:
        for incident in self.log.values():
            last = incident.steps[-1]
            if last.kind == "cleared" and not last.headline.startswith("Closed:"):
                told = {target for step in incident.steps[:-1] for target in step.targets}
                assert told == set(last.targets)

    @invariant()
    def nothing_is_told_while_it_is_silenced(self) -> None:
        for incident in self.log.values():
            assert all(not step.targets for step in incident.steps if step.held_back is not None)

    def teardown(self) -> None:
        """Once all is quiet for long enough, everything has ended."""
        if not hasattr(self, "log"):
            return
        self.is_stale, self.usual = False, Yardstick(tuple((p, 0) for p in PERCENTILES), 12, 1, 29)
        self.totals = dict.fromkeys(SCOPES, 0)
        self.touch_all()
        self.judge()
        for _ in range(3):
            self.time(60)
        assert all(one.closed_ms is not None for one in self.log.values())


TestIncidentMachine = IncidentMachine.TestCase
TestIncidentMachine.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seconds", [0, 1])
def test_an_incident_that_opens_where_one_has_just_closed_has_an_id_of_its_own(seconds: int) -> None:
    machine = IncidentMachine()
    machine.begin()
    machine.reload("other steps")
    for millions in (200, 0):
        machine.total("all", millions)
    machine.time(2)
    machine.time(seconds)
    machine.total("all", 200)
    assert 2 == len(machine.log)
