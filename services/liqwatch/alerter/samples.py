"""Made-up steps of every kind of rule: what templates are tried on, and what a rule would say. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from ..amounts import DOLLAR
from ..events import LargestRecord, VenueCoverage
from ..rulesettings import RuleKind, RuleSettings
from .cascade import Episode
from .rules import Kind
from .stories import Facts, story
from .text import Amount, Snapshot, Story

NOW_MS = 1_769_748_190_123  # 2026-01-30 04:43:10 UTC
_HOUR_MS = 3_600_000
_TITLES = {"binance": "Binance", "bybit": "Bybit", "htx": "HTX"}
_OF_EACH: Mapping[RuleKind, RuleSettings] = {
    "level": RuleSettings(name="level", side="long", thresholds=(Decimal("1.7e9"), Decimal("3e9"))),
    "order": RuleSettings(name="order", kind="order", thresholds=(Decimal("2.5e7"),)),
    "surge": RuleSettings(name="surge", kind="surge", times=(Decimal(100),), floor=Decimal("2e7")),
    "record": RuleSettings(name="record", kind="record", side="long", floor=Decimal("5e8")),
    "cascade": RuleSettings(name="cascade", kind="cascade", side="long"),
    "feed": RuleSettings(name="feed", kind="feed", scope="each venue", condition="down"),
}
_KINDS: tuple[Kind, ...] = ("fired", "stepped_up", "reminded", "cleared")


def steps() -> Iterator[tuple[RuleSettings, Snapshot, Story | None]]:
    """One of every kind of rule and step, whole and as bare as can be."""
    for rule in _OF_EACH.values():
        for kind in _KINDS:
            whole, facts = example(rule, kind)
            yield rule, whole, story(rule, whole, facts)
            bare = replace(
                whole, long=0, short=0, count=0, coins=(), venues=(), largest=None, coverage=(), by_kind={},
                watched_since_ms=None, opened_ms=None,
            )  # fmt: skip
            yield rule, bare, story(rule, bare, Facts())


def example(rule: RuleSettings, kind: Kind = "fired") -> tuple[Snapshot, Facts]:
    """Figures with which the rule would say this, at its first step. They are made up."""
    scope = {"each venue": "venue=binance"}.get(rule.scope, "base=BTC" if rule.scope.startswith("each") else rule.scope)
    step = next(iter(rule.steps), rule.floor or Decimal("5e7"))
    usd = int((step if rule.kind in ("level", "order") else rule.floor or Decimal("5e7")) * DOLLAR)
    usd = usd * 8 // 10 if kind == "cleared" else usd * 101 // 100
    other = usd // 20
    long, short = (other, usd) if rule.side == "short" else (usd, other)
    snapshot = Snapshot(
        kind=kind,
        scope=scope,
        side=rule.side,
        window=rule.ladder.window,
        now_ms=NOW_MS,
        threshold=step,
        long=long,
        short=short,
        count=24_310,
        coins=() if "base=" in scope else (Amount("BTC", usd * 44 // 100), Amount("ETH", usd * 23 // 100)),
        venues=() if "venue=" in scope else (Amount("bybit", usd * 20 // 100), Amount("binance", usd * 11 // 100)),
        largest=LargestRecord(
            event_id="example", venue="htx", symbol="BTC-USDT", base="BTC",
            side="short" if rule.side == "short" else "long", price="82000",
            notional_usd=str(usd // DOLLAR if rule.kind == "order" else usd // DOLLAR // 20),
            event_time_ms=NOW_MS - 40_000, unit="order",
        ),
        coverage=(
            VenueCoverage(venue="binance", completeness="sampled", share=1.0),
            VenueCoverage(venue="bybit", completeness="all", share=0.91),
            VenueCoverage(venue="htx", completeness="all", share=1.0),
        ),
        by_kind={"all": usd * 89 // 100, "sampled": usd * 11 // 100},
        opened_ms=NOW_MS - 6 * _HOUR_MS if kind in ("reminded", "cleared") else NOW_MS,
        peak=max(usd, int(step * DOLLAR)),
        peak_at_ms=NOW_MS - 4 * _HOUR_MS if kind in ("reminded", "cleared") else NOW_MS,
        titles=_TITLES,
    )  # fmt: skip
    facts = Facts(
        normal=usd // 120,
        times=120.0,
        began_ms=NOW_MS - 35 * 24 * _HOUR_MS,
        fall=0.012,
        coins=("SOL", "XRP", "DOGE"),
        episode=Episode(
            NOW_MS - 720_000, 0.0, usd, usd / DOLLAR / 36_000, low=-0.018, orders=812, peak=usd // 2,
            peak_ms=NOW_MS - 400_000, legs=1, stage_five=usd // 2, stage_times=120.0, stage_fall=0.012,
            ended_ms=NOW_MS - 60_000 if kind == "cleared" else None,
        ) if rule.kind == "cascade" else None,
        unwatched_ms=int(step) * 1000 if rule.kind == "feed" and rule.condition == "down" else 0,
        watched=0.9,
    )  # fmt: skip
    return snapshot, facts
