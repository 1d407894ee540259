"""Rules and routes whose targets are all switched off are said by check-config, and counted by the service."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from liqwatch.cli import main
from liqwatch.settings import Settings, load
from liqwatch.unheard import unheard
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer

ON: dict[str, Any] = {"kind": "console"}
OFF: dict[str, Any] = {"kind": "console", "enabled": False}
RULE: dict[str, Any] = {"name": "longs", "side": "long", "window": "24h", "thresholds": ["1B"]}


def settings(targets: dict[str, Any], rules: list[dict[str, Any]], routes: list[dict[str, Any]]) -> Settings:
    return load({"targets": targets, "rules": rules, "routes": routes}, {}, ())


@pytest.mark.parametrize(
    ("targets", "rules", "routes", "expected"),
    [
        ({"a": ON, "b": OFF}, [RULE], [], []),
        ({"a": ON, "b": OFF}, [RULE | {"targets": ["a", "b"]}], [{"targets": ["a", "b"]}], []),
        ({"a": OFF}, [RULE], [], ["no target is switched on: nobody is told anything"]),
        (
            {"a": ON, "b": OFF, "c": OFF},
            [RULE | {"targets": ["b"]}],
            [{"targets": ["a"]}, {"targets": ["b", "c"]}],
            [
                "longs: its target b is switched off: nobody is told of it",
                "route 2: its targets b, c are all switched off: what no other route takes is told to nobody",
            ],
        ),
    ],
)
def test_what_nobody_would_hear_of(
    targets: dict[str, Any], rules: list[dict[str, Any]], routes: list[dict[str, Any]], expected: list[str]
) -> None:
    assert expected == list(unheard(settings(targets, rules, routes)))


def test_check_config_says_so(tmp_path: Path) -> None:
    file = tmp_path / "liqwatch.toml"
    file.write_text(
        '[targets.console]\nkind = "console"\n[targets.desk]\nkind = "telegram"\nenabled = false\n'
        '[[rules]]\nname = "longs"\nside = "long"\nwindow = "24h"\nthresholds = ["1B"]\n'
        '[[routes]]\ntargets = ["desk"]\n'
    )
    said = CliRunner().invoke(main, ["check-config", str(file)])
    assert 0 == said.exit_code
    assert "switched off: route 1: its target desk is switched off: " in said.output


NO_RULES = "  no rules: nothing will ever be told\n"
NO_TARGET = "  switched off: no target is switched on: nobody is told anything\n"
A_RULE = '[[rules]]\nname = "longs"\nside = "long"\nwindow = "24h"\nthresholds = ["1B"]\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {NO_RULES}),
        (A_RULE, set()),
        ("[targets]\n", {NO_RULES, NO_TARGET}),
        ("[targets]\n" + A_RULE, {NO_TARGET}),
        ('[targets.desk]\nkind = "console"\nenabled = false\n' + A_RULE, {NO_TARGET}),
    ],
)
def test_check_config_says_that_nothing_will_ever_be_told(text: str, expected: set[str], tmp_path: Path) -> None:
    file = tmp_path / "liqwatch.toml"
    file.write_text(text)
    said = CliRunner().invoke(main, ["check-config", str(file)])
    assert 0 == said.exit_code
    assert expected == {words for words in (NO_RULES, NO_TARGET) if words in said.output}


async def test_a_step_that_no_target_is_there_for_is_counted() -> None:
    async with ChatServer() as chat:
        targets = {"desk": chat.target("telegram", enabled=False), "other": chat.target("telegram")}
        async with Stage([longs()], targets, routes=[{"targets": ("desk",)}]) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: one.metric("liqwatch_steps_untold_total") == 1)
            await on.total(0)
            await until(lambda: [step.kind for one in on.incidents() for step in one.steps] == ["fired", "cleared"])
            assert (1, 0) == (one.metric("liqwatch_steps_untold_total"), chat.requests)
