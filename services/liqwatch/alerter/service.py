"""The alerter: reads totals and coverage, judges the rules, keeps incidents in the alerts topic, tells the targets."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import aiohttp
import structlog

from ..clock import Clock
from ..coverage import newest
from ..eventlog import EARLIEST, Log, Record, Start, since
from ..events import Incident
from ..following import Away, Follower, values
from ..metrics import AlerterMetrics, ServiceMetrics
from ..relative import NEEDED_DAYS
from ..settings import RuleSettings, Settings
from ..topics import COVERAGE, SILENCES, TOTALS, Topic
from .figures import Figures
from .illustrating import PictureSource
from .incidents import MakeForms, close_unannounced, memory, tell, with_peak, with_unknowns
from .journal import Journal
from .judging import Judging, why_orphaned
from .measures import Measures
from .muting import Muted, Muting, is_muted, told_targets
from .notifiers import discover
from .notifiers.base import NotifierKind
from .outbox import Outbox
from .past import PastReader
from .picture import is_available
from .pictures import Pictures
from .rules import Verdict
from .sending import Sender
from .silences import SilenceBook
from .templates import LONG, Forms
from .turns import Turn

_PEAK_AFTER = 10  # ticks: so long after a peak between two steps it is written, and others until then
_PEAKS_A_TICK = 10
_HISTORY_EVERY = 10  # ticks
_LET_COURIERS_FINISH = 0.8  # seconds, at the end
_LET_WRITES_FINISH = 0.3

log_ = structlog.get_logger("alerter")


def _to_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")


class AlerterService:
    """Judges on every change of a total and each second; acts only while it holds the alerts topic.

    `notifiers`: the kinds of targets, by default all there are. `emit` prints for console targets. `venues`: the
    venues that should be watched, name -> title; empty: those that coverage speaks of. `pictures`: who draws those
    that follow a message, where anybody can.
    """

    def __init__(
        self,
        log: Log,
        settings: Settings,
        clock: Clock,
        metrics: AlerterMetrics,
        service_metrics: ServiceMetrics,
        http: aiohttp.ClientSession,
        notifiers: Mapping[str, NotifierKind] | None = None,
        *,
        emit: Callable[[str], None] = _to_stderr,
        venues: Mapping[str, str] | None = None,
        pictures: PictureSource | None = None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._service_metrics = service_metrics
        self._longest: timedelta = settings.aggregator.windows[-1]
        self._figures = Figures(self._longest, clock.speed, venues or {}, settings.coins.majors)
        self._figures.began_ms = clock.now_ms()
        self._judging = Judging(settings.rules, settings.coins.majors)
        self._away = Away(log_)
        self._past = PastReader(self._follow, clock, settings.rules, settings.coins.majors, self._on_past)
        self._measures = Measures(self._figures.sum, self._figures.scopes, self._figures, self._past, self._figures)
        self._forms = Forms(
            settings.targets, settings.templates, lambda form: metrics.template_failures.labels(form).inc()
        )
        self._show_forms(settings)
        self._pictures = Pictures(
            self._follow, clock, self._longest, self._figures.unwatched, lambda: self._figures.majors
        )
        self._pictures.use(settings.targets if pictures is None else {})
        if pictures is None and is_available():
            pictures = self._pictures
        self._outbox = Outbox(settings.targets, notifiers or discover(), Sender(http, emit), clock, metrics, pictures)
        self._silences = SilenceBook()
        self._muting = Muting(self._silences, settings.routes, lambda: self._open, lambda: self._journal.incidents)
        self._silence_reading = self._follow(
            SILENCES, lambda: EARLIEST, lambda record: self._silences.take(record.key, record.value)
        )
        self._journal = Journal(
            log,
            clock,
            f"{settings.log.kafka.group_prefix}-alerter",
            is_live=self._is_live,
            on_turn=self._on_turn,
            on_written=self._outbox.written,
            on_cut=lambda _: metrics.records_cut.inc(),
        )
        self._open: dict[tuple[str, str], str] = {}  # rule, scope -> incident
        self._peaks: dict[str, int] = {}  # incidents with a peak that the log does not have yet, and when it is due
        self._ticks = 0
        self._held_back: set[str] = set()  # incidents whose clear is held back
        self._stale: bool | None = None
        self._short_of_history: set[str] = set()  # rules relative to the past
        self._unseen = False  # totals were stale since the rules were last asked

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; then lets messages in hand finish, for a second or so."""
        self._outbox.start(self._journal)
        coverage = self._follow(COVERAGE, self._coverage_start, values(self._figures.take_coverage))
        coverage.thin = newest  # an interval is written anew every few seconds
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("journal reader", self._journal.follow()),
                ("journal writer", self._journal.write()),
                ("totals", self._follow(TOTALS, lambda: EARLIEST, self._take_total, self._on_totals).run()),
                ("coverage", coverage.run()),
                ("silences", self._silence_reading.run()),
                ("past", self._past.run()),
                ("pictures", self._pictures.run()),
                ("tick", self._every_second()),
            )
        ]
        waiter = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, waiter], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiter}:
                task.result()
        finally:
            waiter.cancel()
            await self._end(tasks)

    def unready(self) -> list[str]:
        """Why it is not doing its work; empty when it acts on fresh totals, or stands by for another that acts."""
        if not self._journal.reachable:
            return ["the log cannot be reached"]
        if not self._journal.joined:
            return ["has not joined its group yet"]
        if self._journal.turn is Turn.STANDING_BY:
            return []
        reasons = [] if self._journal.acting else [f"is {self._journal.turn.value}"]
        stale = self._figures.stale(self._clock.now_ms())
        if stale:
            reasons.append(f"totals are stale in {len(stale)} of {TOTALS.partitions} partitions")
        return reasons

    def reload(self, settings: Settings) -> None:
        """Other rules and targets. Nothing fires again; the incident of a rule that is gone closes in silence."""
        gone = set(self._judging.rules) - {rule.name for rule in settings.rules}
        self._figures.majors = settings.coins.majors
        self._judging.use(settings.rules, settings.coins.majors)
        self._past.use(settings.rules, settings.coins.majors)
        self._muting.routes = settings.routes
        self._forms.use(settings.targets, settings.templates)
        self._show_forms(settings)
        self._pictures.use(settings.targets)
        self._outbox.use(settings.targets)
        if self._journal.acting:
            self._close_orphans()
            self._touch_all()
            self._outbox.offer_all()
            self._judge()
        for name in gone:
            self._metrics.open.remove(name)
            self._metrics.history.remove(name)

    async def _end(self, tasks: "list[asyncio.Task[None]]") -> None:
        for incident_id in list(self._peaks):
            self._write_peak(incident_id)
        await self._outbox.end(_LET_COURIERS_FINISH)
        self._pictures.close()
        await self._journal.flush(_LET_WRITES_FINISH)
        for task in tasks:
            task.cancel()
        done, _ = await asyncio.wait(tasks, timeout=0.7)
        for task in done:
            if not task.cancelled():
                task.exception()  # the first one was raised by `run`; seen is what the others want

    def _follow(
        self,
        topic: Topic,
        start: Callable[[], Start],
        take: Callable[[Record], None],
        then: Callable[[int], None] = lambda taken: None,
    ) -> Follower:
        metrics = self._service_metrics
        return Follower(
            self._log, topic, start, take, self._away, log_,
            then=then, count_lost=metrics.offset_gap, count_unreadable=metrics.unreadable,
        )  # fmt: skip

    def _take_total(self, record: Record) -> None:
        if record.value is not None:
            self._figures.take_totals(record.value)
        elif record.key.count(b",") >= 2:  # else no row's: a heartbeat is never buried
            self._figures.take_tombstone(record.key)

    def _coverage_start(self) -> Start:
        return since(self._clock.now_ms() - 2 * int(self._longest.total_seconds() * 1000))

    def _on_totals(self, taken: int) -> None:
        if not taken:
            return
        self._judging.touch_all(self._figures.touched())
        self._judge()

    def _on_past(self) -> None:
        """A cascade has moved, or the past has been read: what it says was not known before."""
        self._touch_all()
        self._judge()

    async def _every_second(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._ticks += 1
            now_ms = self._clock.now_ms()
            self._service_metrics.log_up.set(self._journal.reachable)
            self._show_staleness(bool(self._figures.stale(now_ms)))
            self._metrics.silences.set(self._silences.active(now_ms))
            if self._ticks % 60 == 0:
                self._figures.forget(now_ms)
                self._silences.forget(now_ms)
            if not self._journal.acting:
                continue
            self._judging.touch_remembered()
            self._judging.touch_timed(self._figures.known_venues())
            self._judge()
            self._unmute(now_ms)
            await self._tell_peaks()
            if self._ticks % _HISTORY_EVERY == 1:
                self._count_history(now_ms)
            self._outbox.offer_all()
            self._let_go()
            self._outbox.count(self._journal.incidents.values(), now_ms)

    def _judge(self) -> None:
        now_ms = self._clock.now_ms()
        if not self._journal.acting or not self._silence_reading.caught_up:
            return
        if self._figures.stale(now_ms):
            self._unseen = True
            return  # what was touched stays due
        if self._unseen:
            self._unseen = False
            self._judging.restart_holds(now_ms)
        for rule, scope in self._judging.due():
            measured = self._measures.take(rule, scope, self._judging.is_open(rule, scope), now_ms)
            if measured is None:
                continue
            usd = measured.usd
            verdict = self._judging.ask(rule, scope, measured.value, now_ms, measured.yardstick)
            incident = self._journal.incidents.get(self._open.get((rule.name, scope), ""))
            if verdict is None:
                if incident is not None:
                    self._see_peak(incident, usd, now_ms)
            elif not self._holds_back(rule, scope, incident, verdict, now_ms):
                told = verdict if measured.value == usd else _in_usd(rule, verdict, usd)
                self._tell(rule, scope, incident, told, now_ms)

    def _tell(self, rule: RuleSettings, scope: str, incident: Incident | None, verdict: Verdict, now_ms: int) -> None:
        targets, muted = self._listeners(rule, scope, incident, verdict, now_ms)
        if muted is not None and verdict.kind == "reminded":
            return  # nobody misses it
        facts = self._measures.facts(rule, scope, verdict.usd, now_ms)
        view = replace(self._figures.view(rule, scope, now_ms), facts=facts)
        held_back = None if muted is None else muted.words
        told = tell(
            rule, scope, incident, verdict, view,
            generation=self._journal.generation, targets=targets, held_back=held_back, known=self._journal.incidents,
            forms=self._make_forms(rule, targets),
        )  # fmt: skip
        self._outbox.tell(told)
        self._peaks.pop(told.incident_id, None)
        self._held_back.discard(told.incident_id)
        if told.closed_ms is None:
            self._open[rule.name, scope] = told.incident_id
        else:
            self._open.pop((rule.name, scope), None)
        self._metrics.steps.labels(verdict.kind).inc()
        self._count_open(rule.name)
        step = told.steps[-1]
        if muted is not None:
            self._metrics.held_back.labels(muted.cause).inc()
        elif not targets and verdict.kind != "cleared":
            self._metrics.untold.inc()
            log_.warning("no target is switched on for this rule", rule=rule.name)
        about = {"incident": told.incident_id, "usd": step.usd, "targets": len(targets)}
        log_.info(step.headline, kind=step.kind, **about, **({"held_back": held_back} if held_back else {}))

    def _show_forms(self, settings: Settings) -> None:
        for form in {target.form for target in settings.targets.values()} - {LONG}:
            self._metrics.template_failures.labels(form)

    def _make_forms(self, rule: RuleSettings, targets: Iterable[str]) -> MakeForms:
        return lambda snapshot, story: self._forms.words(targets, rule, snapshot, story)

    def _listeners(
        self, rule: RuleSettings, scope: str, incident: Incident | None, verdict: Verdict, now_ms: int
    ) -> tuple[tuple[str, ...], Muted | None]:
        """Who is told. The end is told to all who know of the incident, and to nobody else."""
        if verdict.kind == "cleared" and incident is not None:
            return told_targets(incident, self._outbox.enabled(())), None
        found = self._muting.targets(rule, scope, now_ms)
        return ((), found) if isinstance(found, Muted) else (self._outbox.enabled(found), None)

    def _unmute(self, now_ms: int) -> None:
        """What was held back and still lasts is told, once nothing holds it back any more."""
        if not self._silence_reading.caught_up or self._figures.stale(now_ms):
            return
        for (name, scope), incident_id in list(self._open.items()):
            incident, rule = self._journal.incidents.get(incident_id), self._judging.rules.get(name)
            if incident is None or rule is None or not is_muted(incident):
                continue
            told = memory(incident).told
            measured = self._measures.take(rule, scope, True, now_ms)
            if told is None or measured is None or isinstance(self._muting.targets(rule, scope, now_ms), Muted):
                continue
            verdict = Verdict("reminded", told, measured.value)
            self._tell(rule, scope, incident, _in_usd(rule, verdict, measured.usd), now_ms)
            self._judging.hold_back(rule, scope, self._journal.incidents[incident_id])

    def _holds_back(
        self, rule: RuleSettings, scope: str, incident: Incident | None, verdict: Verdict, now_ms: int
    ) -> bool:
        if verdict.kind != "cleared" or incident is None or rule.kind == "feed":
            return False
        blind = self._figures.blind(rule, scope, incident.opened_ms, now_ms)
        if not blind:
            return False
        self._judging.hold_back(rule, scope, incident)
        if incident.incident_id not in self._held_back:
            self._held_back.add(incident.incident_id)
            log_.warning("not cleared: feeds are not watched", incident=incident.incident_id, venues=blind)
        return True

    def _count_history(self, now_ms: int) -> None:
        """How much of the past is known to rules that are relative to it."""
        for rule in self._judging.rules.values():
            if not rule.is_relative:
                continue
            days = self._measures.known_days(rule, now_ms)
            self._metrics.history.labels(rule.name).set(days)
            if days < NEEDED_DAYS and rule.name not in self._short_of_history:
                self._short_of_history.add(rule.name)
                log_.warning(f"not enough history: {days} of {NEEDED_DAYS} days, nothing fires", rule=rule.name)
            elif days >= NEEDED_DAYS and rule.name in self._short_of_history:
                self._short_of_history.discard(rule.name)
                log_.info("enough history", rule=rule.name, days=days)

    def _see_peak(self, incident: Incident, usd: int, now_ms: int) -> None:
        higher = with_peak(incident, usd, now_ms)
        if higher is not incident:
            self._journal.note(higher)
            self._peaks.setdefault(incident.incident_id, self._ticks + _PEAK_AFTER)

    async def _tell_peaks(self) -> None:
        """A few a tick, and one at a time: in a crash hundreds of incidents climb, and a crossing waits for none."""
        due = [incident_id for incident_id, tick in self._peaks.items() if tick <= self._ticks]
        for incident_id in due[:_PEAKS_A_TICK]:
            self._write_peak(incident_id)
            incident = self._journal.incidents.get(incident_id)
            if incident is not None and self._outbox.edits(incident):
                self._refresh(incident)
            await asyncio.sleep(0)

    def _write_peak(self, incident_id: str) -> None:
        incident = self._journal.incidents.get(incident_id)
        if self._peaks.pop(incident_id, None) is not None and incident is not None and self._journal.acting:
            self._journal.put(incident)

    def _refresh(self, incident: Incident) -> None:
        """Between two steps the total climbs: the message that is there says so, where it can be edited."""
        rule, told = self._judging.rules.get(incident.rule), memory(incident).told
        if rule is None or told is None or incident.steps[-1].held_back is not None:
            return
        now_ms = self._clock.now_ms()
        measured = self._measures.take(rule, incident.scope, True, now_ms)
        if measured is None:
            return
        verdict = _in_usd(rule, Verdict("reminded", told, measured.value), measured.usd)
        facts = self._measures.facts(rule, incident.scope, measured.usd, now_ms)
        view = replace(self._figures.view(rule, incident.scope, now_ms), facts=facts)
        generation = self._journal.generation
        forms = self._make_forms(rule, {target for step in incident.steps for target in step.targets})
        step = tell(
            rule, incident.scope, incident, verdict, view, generation=generation, targets=(), forms=forms
        ).steps[-1]
        self._outbox.refresh(incident, step)

    def _on_turn(self) -> None:
        self._metrics.active.set(self._journal.acting)
        self._open.clear()
        self._held_back.clear()
        if not self._journal.acting:
            self._judging.forget()
            self._outbox.forget()
            return
        for incident in list(self._journal.incidents.values()):
            self._outbox.written(incident)
            fixed = with_unknowns(incident)
            if fixed is not incident:
                self._journal.put(fixed)
        self._close_orphans()
        self._judging.recall(self._journal.incidents)
        for incident in self._journal.incidents.values():
            if incident.closed_ms is None:
                self._open[incident.rule, incident.scope] = incident.incident_id
        for name in self._judging.rules:
            self._count_open(name)
        self._touch_all()

    def _close_orphans(self) -> None:
        for incident in list(self._journal.incidents.values()):
            if incident.closed_ms is not None:
                continue
            why = why_orphaned(incident, self._judging.rules, self._figures.majors)
            if why is not None:
                log_.warning("incident closed without notice", incident=incident.incident_id, reason=why)
                self._journal.put(close_unannounced(incident, why, self._clock.now_ms(), self._journal.generation))
                self._open.pop((incident.rule, incident.scope), None)
                self._count_open(incident.rule)

    def _touch_all(self) -> None:
        for rule in self._judging.rules.values():
            window = rule.ladder.window
            is_class = rule.scope.startswith("class=")
            prefix = "base=" if is_class else rule.each
            for scope in self._figures.scopes(window, prefix) if prefix else [rule.scope]:
                self._judging.touch(window, scope)
        self._judging.touch_timed(self._figures.known_venues())

    def _is_live(self, incident: Incident) -> bool:
        return (
            incident.closed_ms is None
            or any(True for _ in self._outbox.undelivered(incident))
            or self._outbox.owes_summary(incident)
        )

    def _let_go(self) -> None:
        """Forgets incidents that are over, told everywhere, and summed up where that can be."""
        if self._journal.is_written:
            over = [one.incident_id for one in self._journal.incidents.values() if not self._is_live(one)]
            for incident_id in over:
                self._journal.forget(incident_id)
                self._outbox.forget(incident_id)

    def _count_open(self, rule: str) -> None:
        self._metrics.open.labels(rule).set(sum(1 for name, _ in self._open if name == rule))

    def _show_staleness(self, stale: bool) -> None:
        self._metrics.stale.set(stale)
        if stale == self._stale:
            return
        if self._stale is not None or not stale:
            if stale:
                log_.warning("totals are stale: nothing fires and nothing clears")
            else:
                log_.info("totals are fresh")
        self._stale = stale


def _in_usd(rule: RuleSettings, verdict: Verdict, usd: int) -> Verdict:
    """What was judged is not the total: it is told beside it, where it has a unit of its own."""
    return replace(verdict, usd=usd, value=None if rule.kind in ("level", "order") else verdict.usd)
