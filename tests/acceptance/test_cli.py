"""The commands as scripts call them: answers on stdout, everything else on stderr, exit status as promised."""

import gzip
import json
import os
from pathlib import Path

import pytest

from liqwatch.cli import SCENARIOS
from liqwatch.simulator import NAMES
from tests.support.program import liqwatch

ROOT = Path(__file__).resolve().parents[2]
LONG = {"e": "forceOrder", "E": 1791565603055, "o": {
    "s": "SOLUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "10", "p": "148.10", "ap": "150.25", "X": "FILLED",
    "l": "4", "z": "10", "T": 1791565602120, "ps": "SOLUSDT", "st": 1}}  # fmt: skip
SOL = {"SOLUSDT": {"symbol": "SOLUSDT", "status": "TRADING", "baseAsset": "SOL", "quoteAsset": "USDT"}}


def event(number: int, usd: str, side: str = "long", at_ms: int = 1_790_000_000_000) -> dict[str, object]:
    return {
        "version": 1, "event_id": f"e{number}", "venue": "bybit", "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT",
        "side": side, "price": usd, "price_kind": "bankruptcy", "quantity": "1", "notional_usd": usd,
        "event_time_ms": at_ms + number * 1000, "received_time_ms": at_ms + number * 1000, "timed_by": "venue",
        "source": "stream", "unit": "order",
    }  # fmt: skip


def test_normalize_prints_one_object_per_frame_in_order(tmp_path: Path) -> None:
    (tmp_path / "instruments.json").write_text(json.dumps(SOL))
    frames = "\n".join([json.dumps(LONG), '{"result":null,"id":1}', json.dumps(LONG), "{broken", ""])
    done = liqwatch("normalize", "binance", "-", "--instruments", str(tmp_path / "instruments.json"), stdin=frames)
    assert 0 == done.returncode, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(1, "data", 1), (2, "ack", 0), (3, "data", 0), (4, "rejected", 0)] == [
        (row["line"], row["kind"], len(row["liquidations"])) for row in rows
    ]
    one = rows[0]["liquidations"][0]
    assert ("binance", "SOLUSDT", "SOL", "long", "1502.5") == tuple(
        one[key].rstrip("0") if key == "notional_usd" else one[key]
        for key in ("venue", "symbol", "base", "side", "notional_usd")
    )
    assert rows[3]["error"]


def test_normalize_names_the_known_venues_for_an_unknown_one() -> None:
    done = liqwatch("normalize", "binanse")
    assert (2, "") == (done.returncode, done.stdout)
    assert "binance" in done.stderr and "Traceback" not in done.stderr


def test_venues_lists_the_six_with_their_facts() -> None:
    done = liqwatch("venues", "--json")
    table = {row["venue"]: row for row in json.loads(done.stdout)}
    assert {"binance", "bybit", "okx", "bitget", "gate", "htx"} <= set(table)
    for row in table.values():
        assert all(row[key] for key in ("completeness", "side_rule", "price_kind", "docs", "checked"))
    assert all(name in liqwatch("venues").stdout for name in table)


def test_replay_prints_totals_peaks_and_alerts(tmp_path: Path) -> None:
    lines = [json.dumps(event(1, "600")), json.dumps(event(2, "500", "short")), "not json", json.dumps(event(1, "600"))]
    lines.append(json.dumps(event(3, "700.5")))
    (tmp_path / "day.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (tmp_path / "rules.toml").write_text('[[rules]]\nname = "r"\nside = "long"\nwindow = "5m"\nthresholds = [1000]\n')
    done = liqwatch("replay", str(tmp_path / "day.jsonl.gz"), "--rules", str(tmp_path / "rules.toml"), "--json")
    assert 0 == done.returncode, done.stderr
    result = json.loads(done.stdout)
    assert (4, 1, 0) == (result["events"], result["duplicates"], result["late"])
    assert 1300.5 == float(result["windows"]["24h"]["long"]["usd"])
    assert (2, 1) == (result["windows"]["5m"]["long"]["count"], result["windows"]["5m"]["short"]["count"])
    assert "e3" == result["largest"]["24h"]["event_id"]
    (alert,) = result["alerts"]
    assert ("r", "all", "fired", 1_790_000_003_000) == tuple(alert[key] for key in ("rule", "scope", "kind", "at_ms"))
    assert "line 3" in done.stderr or ":3" in done.stderr
    assert 0 == liqwatch("replay", str(tmp_path / "day.jsonl.gz")).returncode


def test_check_config_lists_every_mistake_and_fails(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[lgo]\n[[rules]]\nname = "a"\nthresholds = ["1.7X"]\nwindw = "24h"\n')
    done = liqwatch("check-config", str(tmp_path / "bad.toml"))
    assert (1, "") == (done.returncode, done.stdout)
    for words in (
        "lgo: unknown key; did you mean 'log'?",
        "rules.0.thresholds.0",
        "rules.0.windw",
        "did you mean 'window'?",
    ):
        assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_check_config_says_each_rule_as_a_sentence() -> None:
    done = liqwatch("check-config", str(ROOT / "deploy" / "liqwatch.toml"))
    assert 0 == done.returncode
    assert (
        "longs-24h: tells when longs liquidated in 24h over all venues reach $1B, $1.7B, $3B, $5B, $10B; "
        "clears below $900M after 1m; critical, to console" in done.stdout
    )


def test_notify_test_says_what_became_of_the_message(tmp_path: Path) -> None:
    done = liqwatch("notify-test", "console", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert "console: accepted" == done.stdout.splitlines()[-1]
    assert 2 == liqwatch("notify-test", "nobody", cwd=tmp_path).returncode


def test_topics_are_created_and_listed_on_the_embedded_log(tmp_path: Path) -> None:
    done = liqwatch("topics", "create", cwd=tmp_path)
    assert 0 == done.returncode, done.stderr
    assert 8 == done.stdout.count(": created")
    assert 8 == liqwatch("topics", "create", cwd=tmp_path).stdout.count(": is there")
    listed = liqwatch("topics", "list", cwd=tmp_path).stdout
    assert "liqwatch.liquidations.v1  key venue:symbol  12 partitions, retention 7 days  — Every" in listed
    assert "liqwatch.silences.v1  key silence  1 partition, retention for ever, compacted  — What" in listed


@pytest.mark.parametrize("command", [("topics", "create"), ("aggregate",), ("run",)])
def test_an_unusable_path_of_the_log_is_one_sentence(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIQWATCH_LOG__PATH", "/proc/nope/x.db")
    for name in ("RUN", "AGGREGATE"):
        monkeypatch.setenv(f"LIQWATCH_HTTP__{name}_PORT", "0")
    done = liqwatch(*command, cwd=tmp_path)
    assert 1 == done.returncode
    assert "/proc/nope/x.db: cannot be" in done.stderr and "Traceback" not in done.stderr + done.stdout


def test_replay_needs_no_secret_of_the_settings_that_hold_the_rules(tmp_path: Path) -> None:
    (tmp_path / "day.jsonl").write_text(json.dumps(event(1, "600")))
    (tmp_path / "rules.toml").write_text(
        '[targets.desk]\nkind = "slack"\nchannel = "C1"\ntoken_file = "/nonexistent/token"\n'
    )
    done = liqwatch("replay", str(tmp_path / "day.jsonl"), "--rules", str(tmp_path / "rules.toml"), "--json")
    assert (0, "") == (done.returncode, done.stderr)
    assert 1 == liqwatch("check-config", str(tmp_path / "rules.toml")).returncode


def test_the_committed_schemas_are_in_step() -> None:
    done = liqwatch("schemas", "--check")
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("out", ["/proc/nope", "file"])
def test_schemas_that_cannot_be_written_are_one_sentence(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = liqwatch("schemas", "--out", out, cwd=tmp_path)
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"liqwatch: cannot write to {out}: ") and 1 == done.stderr.count("\n")


@pytest.mark.parametrize(
    "words",
    [
        ("rule=x", "--reason", os.fsdecode(b"bad \xff")),
        ("rule=x", "--reason", "ok", "--author", os.fsdecode(b"bad \xff")),
        (os.fsdecode(b"rule=bad\xff"), "--reason", "ok"),
        (os.fsdecode(b"ru\xff=x"), "--reason", "ok"),
        ("rule=x", "rule=y", "--reason", "ok"),
        ("rule=", "--reason", "ok"),
    ],
)
def test_a_silence_that_is_not_right_is_one_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    done = liqwatch("silence", "add", *words, "--for", "1h", cwd=tmp_path)
    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("liqwatch: ") and 1 == done.stderr.count("\n"), done.stderr
    assert [] == list(tmp_path.iterdir())


def test_the_scenarios_of_the_command_line_are_those_of_the_simulator() -> None:
    assert set(SCENARIOS) == set(NAMES)


@pytest.mark.parametrize("command", ["run", "collect", "aggregate", "alert", "demo", "simulate", "replay", "topics"])
def test_every_command_explains_itself(command: str) -> None:
    assert "Usage" in liqwatch(command, "--help").stdout
