"""Services refuse to start on topics that are missing or unfit, and say what to do."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from liqwatch.clock import Clock
from liqwatch.eventlog import TopicMissing, TopicState, TopicUnfit
from liqwatch.eventlog.checks import check_topics, unfit
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.topics import ALERTS, BARS, LIQUIDATIONS, TOPICS, TOTALS

DAY = timedelta(days=1)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(tmp_path / "log.db", Clock())
    await log.open()
    yield log
    await log.close()


async def test_the_topics_of_the_table_are_fit_for_the_default_windows(log: SqliteLog) -> None:
    assert list(TOPICS) == list(await log.create(TOPICS.values()))
    await check_topics(log, TOPICS.values(), DAY)


async def test_a_missing_topic_is_named_with_the_command(log: SqliteLog) -> None:
    await log.create([LIQUIDATIONS])
    with pytest.raises(TopicMissing, match=r"liqwatch\.totals\.v1 is missing; run `liqwatch topics create`"):
        await check_topics(log, [LIQUIDATIONS, TOTALS], DAY)


@pytest.mark.parametrize("retention", [timedelta(hours=23), timedelta(hours=47)])
async def test_liquidations_have_to_be_kept_for_two_longest_windows(log: SqliteLog, retention: timedelta) -> None:
    await log.create([replace(LIQUIDATIONS, retention=retention)])
    with pytest.raises(TopicUnfit, match=r"the longest window is 1 day, 0:00:00 and needs twice that; raise its ret"):
        await check_topics(log, [LIQUIDATIONS], DAY)


async def test_a_broker_may_keep_other_topics_for_a_shorter_time(log: SqliteLog) -> None:
    await log.create([replace(LIQUIDATIONS, retention=2 * DAY), replace(BARS, retention=2 * DAY)])
    await check_topics(log, [LIQUIDATIONS, BARS], DAY)
    with pytest.raises(TopicUnfit, match=r"bars\.v1 keeps records for 2 days, 0:00:00 instead of 3 days"):
        await check_topics(log, [BARS], timedelta(hours=36))


async def test_alerts_are_kept_for_thirty_days_at_least(log: SqliteLog) -> None:
    """An incident that is open and is no longer in the log would fire again after a restart."""
    await log.create([replace(ALERTS, retention=29 * DAY)])
    with pytest.raises(TopicUnfit, match=r"alerts\.v1 keeps records for 29 days, 0:00:00 instead of 30 days"):
        await check_topics(log, [ALERTS], DAY)


async def test_alerts_may_be_kept_for_less_than_the_table_says(log: SqliteLog) -> None:
    await log.create([replace(ALERTS, retention=30 * DAY)])
    await check_topics(log, [ALERTS], DAY)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (TopicState(ALERTS.name, 1, ALERTS.retention, True), None),
        (TopicState(ALERTS.name, 1, None, True), None),
        (TopicState(ALERTS.name, 1, timedelta(days=500), True), None),
        (TopicState(ALERTS.name, 3, ALERTS.retention, True), "has 3 partitions instead of 1"),
        (TopicState(ALERTS.name, 1, ALERTS.retention, False), "set its cleanup.policy to 'compact,delete'"),
        (TopicState(ALERTS.name, 1, DAY, True), "keeps records for 1 day, 0:00:00 instead of 400 days"),
    ],
)
def test_what_is_wrong_with_a_topic_is_said_with_the_remedy(state: TopicState, reason: str | None) -> None:
    problem = unfit(ALERTS, state)
    assert (reason is None) == (problem is None)
    assert reason is None or reason in str(problem)
