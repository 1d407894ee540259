"""`liqwatch replay` against a recount of the same file that shares no code with it (`benchmarks/replay_recount.py`)."""

import copy
from pathlib import Path
from typing import Any

import pytest
from benchmarks.replay_recount import differences, lines, recount, replayed

EVENTS = 30_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recount") / "events.jsonl"
    path.write_text("".join(line + "\n" for line in lines(EVENTS)))
    return path


@pytest.fixture(scope="module")
def counted(recorded: Path) -> dict[str, Any]:
    return recount(recorded)


def test_every_total_peak_count_and_largest_is_that_of_a_recount(recorded: Path, counted: dict[str, Any]) -> None:
    result = replayed(recorded)
    assert [] == list(differences(counted, result))
    assert (EVENTS, True, True) == (result["events"], result["duplicates"] > 300, result["late"] > 100)


def test_a_micro_dollar_more_or_a_peak_a_millisecond_off_is_seen(counted: dict[str, Any]) -> None:
    wrong = copy.deepcopy(counted)
    side = wrong["windows"]["4h"]["short"]
    side["usd"] = side["usd"][:-1] + str((int(side["usd"][-1]) + 1) % 10)
    wrong["windows"]["5m"]["long"]["peak_at_ms"] += 1
    assert ["windows.5m.long.peak_at_ms", "windows.4h.short.usd"] == [
        one.split(":")[0] for one in differences(counted, wrong)
    ]
