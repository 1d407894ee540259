"""Are the topics there, and fit for what is asked of them? Services ask at start, and refuse to run on others."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from ..topics import ALERTS, LIQUIDATIONS, Topic
from . import Log, TopicMissing, TopicState, TopicUnfit

_ALERTS_AT_LEAST = timedelta(days=30)  # an incident may be open for long without a change


def missing(name: str) -> TopicMissing:
    return TopicMissing(f"topic {name} is missing; run `liqwatch topics create`")


def unfit(topic: Topic, state: TopicState) -> TopicUnfit | None:
    """What is wrong with a topic that is there; longer retention than asked for is fine."""
    if state.partitions != topic.partitions:
        return TopicUnfit(
            f"topic {topic.name} has {state.partitions} partitions instead of {topic.partitions}; keys would move: "
            f"delete it, or use another log, then run `liqwatch topics create`"
        )
    if state.compacted != topic.compacted:
        wanted = _cleanup(topic.compacted, topic.retention)
        return TopicUnfit(
            f"topic {topic.name} is cleaned up by {_cleanup(state.compacted, state.retention)!r}; "
            f"set its cleanup.policy to {wanted!r}"
        )
    if _shorter(state.retention, topic.retention):
        return TopicUnfit(
            f"topic {topic.name} keeps records for {state.retention} instead of {_forever(topic.retention)}; "
            f"raise its retention.ms"
        )
    return None


async def check_topics(log: Log, topics: Iterable[Topic], longest_window: timedelta) -> None:
    """Raises `TopicMissing` or `TopicUnfit` for the first topic that will not do.

    Totals are rebuilt from `liquidations`: kept for less than two longest windows they would come out too small
    after a restart at the wrong moment, and nothing would show it. Otherwise whoever runs the broker may keep
    records for a shorter time than the table says, down to the same limit; alerts down to 30 days, since an open
    incident that is no longer there fires again after a restart.
    """
    least = 2 * longest_window
    for topic in topics:
        state = await log.describe(topic)
        if state is None:
            raise missing(topic.name)
        if topic.name == LIQUIDATIONS.name and _shorter(state.retention, least):
            raise TopicUnfit(
                f"topic {topic.name} keeps records for {state.retention}, the longest window is {longest_window} and "
                f"needs twice that; raise its retention.ms, or shorten aggregator.windows"
            )
        limit = max(least, _ALERTS_AT_LEAST) if topic.name == ALERTS.name else least
        needed = None if topic.retention is None else min(topic.retention, limit)
        if (problem := unfit(replace(topic, retention=needed), state)) is not None:
            raise problem


def _shorter(have: timedelta | None, need: timedelta | None) -> bool:
    return have is not None and (need is None or have < need)


def _forever(retention: timedelta | None) -> str:
    return "for ever" if retention is None else str(retention)


def _cleanup(compacted: bool, retention: timedelta | None) -> str:
    if not compacted:
        return "delete"
    return "compact" if retention is None else "compact,delete"
