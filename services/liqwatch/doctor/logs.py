"""Is the log there, are its topics, and does it answer? Nothing is written."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from ..assembly import build_log
from ..clock import Clock
from ..eventlog import LATEST, LogError, LogUnavailable, TopicMissing, TopicUnfit
from ..eventlog.checks import check_topics
from ..settings import Settings
from ..topics import COVERAGE, TOPICS
from .finding import Finding, fails, not_tried, works

_LIMIT = 15.0  # seconds


async def try_log(settings: Settings, clock: Clock) -> Sequence[Finding]:
    kafka = settings.log.backend == "kafka"
    part = f"kafka {settings.log.kafka.bootstrap_servers}" if kafka else f"sqlite {settings.log.path}"
    if not kafka and (absent := _not_there_yet(part, Path(settings.log.path))) is not None:
        return [absent]
    log = build_log(settings, clock, read_only=True)
    try:
        async with asyncio.timeout(_LIMIT):
            await log.open()
            await check_topics(log, TOPICS.values(), settings.aggregator.windows[-1])
            reader = await log.reader(COVERAGE, start=LATEST)
            ends = await reader.end_offsets()
            await reader.close()
    except (TopicMissing, TopicUnfit) as error:
        return [fails("log", part, str(error), "topics")]
    except LogUnavailable as error:
        return [fails("log", part, str(error), "unreachable")]
    except LogError as error:
        return [fails("log", part, str(error), "error")]
    except TimeoutError:
        return [fails("log", part, f"no answer within {_LIMIT:.0f} s", "unreachable")]
    finally:
        await log.close(timeout=2.0)
    return [works("log", part, f"{len(TOPICS)} topics; {sum(ends.values())} records of coverage so far")]


def _not_there_yet(part: str, path: Path) -> Finding | None:
    if path.exists():
        return None
    folder = next(one for one in path.absolute().parents if one.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return fails("log", part, f"not there, and {folder} cannot be written to", "error")
    return not_tried("log", part, "not there yet: `liqwatch run` makes it")
