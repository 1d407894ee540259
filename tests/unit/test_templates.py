"""Forms of words: templates say what the built-in words say, cannot hurt, and cost no alert when they fail."""

import re
import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from liqwatch import configuration
from liqwatch.alerter.rehearsal import rehearse
from liqwatch.alerter.samples import example, steps
from liqwatch.alerter.sandbox import LONGEST_TEMPLATE, LONGEST_TEXT, Sandbox
from liqwatch.alerter.stories import story
from liqwatch.alerter.templates import LONGEST_HEADLINE, Forms, Template, TemplateFailed, built_in, mistakes
from liqwatch.alerter.text import Amount, Snapshot, Story, compose
from liqwatch.alerter.values import FILTERS, at, clock, values
from liqwatch.amounts import DOLLAR
from liqwatch.cli import main
from liqwatch.crosschecks import FORMS
from liqwatch.events import Words
from liqwatch.settings import RuleSettings, Settings, SettingsError, TargetSettings, TemplateSettings, load
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer, Fault
from tests.support.repository import ROOT

RULE = RuleSettings(name="longs-24h", side="long", thresholds=(Decimal("1.7e9"),))
AT_MS = 1_769_748_190_123  # 2026-01-30 04:43:10 UTC


def made(source: str, snapshot: Snapshot | None = None, rule: RuleSettings = RULE) -> Words:
    whole, facts = example(rule)
    return Template(source, Sandbox(FILTERS)).words(rule, snapshot or whole, story(rule, snapshot or whole, facts))


def line(source: str, snapshot: Snapshot | None = None, rule: RuleSettings = RULE) -> str:
    return made(source, snapshot, rule).headline


# The forms that come with the program.


def test_the_long_template_says_what_is_said_without_it() -> None:
    long = Template(built_in("long"), Sandbox(FILTERS))
    for rule, snapshot, told in steps():
        words, expected = long.words(rule, snapshot, told), compose(snapshot, told)
        assert (expected.headline, expected.text) == (words.headline, words.text)


COMPACT = [
    (
        {},
        "At least $1.71B of longs liquidated in 24 hours, past $1.7B.",
        "Longs $1.71B (95.2 %), shorts $85.8M (4.8 %).\nCoverage 97 %, a floor. As of 2026-01-30 04:43:10 UTC.",
    ),
    (
        {"coverage": (), "kind": "reminded"},
        "Still open past $1.7B: at least $1.71B of longs liquidated in 24 hours.",
        "Longs $1.71B (95.2 %), shorts $85.8M (4.8 %).\nCoverage unknown, a floor. As of 2026-01-30 04:43:10 UTC.",
    ),
    (
        {"long": 0, "short": 0, "count": 0, "coverage": ()},
        "At least $0 of longs liquidated in 24 hours, past $1.7B.",
        "Coverage unknown, a floor. As of 2026-01-30 04:43:10 UTC.",
    ),
]


@pytest.mark.parametrize(("changes", "headline", "text"), COMPACT)
def test_the_compact_form(changes: dict[str, Any], headline: str, text: str) -> None:
    whole, _ = example(RULE)
    assert (headline, text) == (
        (words := made(built_in("compact"), replace(whole, **changes))).headline,
        words.text,
    )


def test_the_compact_form_of_the_end_has_the_peak() -> None:
    ended, _ = example(RULE, "cleared")
    assert "Peak $1.70B." in made(built_in("compact"), ended).text


def test_the_compact_form_of_complete_figures_is_no_floor() -> None:
    whole, _ = example(RULE)
    complete = replace(whole, coverage=whole.coverage[2:])
    assert made(built_in("compact"), complete).text.endswith("Coverage complete. As of 2026-01-30 04:43:10 UTC.")


def test_every_step_has_one_to_three_lines_in_the_compact_form_and_says_as_of_when() -> None:
    compact = Template(built_in("compact"), Sandbox(FILTERS))
    for rule, snapshot, told in steps():
        words = compact.words(rule, snapshot, told)
        assert words.text.endswith("As of 2026-01-30 04:43:10 UTC.")
        assert len([words.headline, *words.text.splitlines()]) <= 3


# What a template sees.

SEEN = [
    ("{{ kind }} {{ rule }} {{ rule_kind }} {{ severity }} {{ scope }}", "fired longs-24h level warning all"),
    ("{{ side }} {{ window }} {{ span }} {{ subject }}", "long 24h 24 hours longs"),
    ("{{ usd.words }} {{ usd.usd }} {{ total.words }} {{ orders }}", "$1.71B 1717000000 $1.80B 24310"),
    ("{{ long.share_words }} {{ short.share | round(2) }}", "95.2 % 4.76"),
    ("{{ threshold.words }} {{ threshold.usd }}", "$1.7B 1700000000"),
    ("{{ coins[0].name }} {{ coins | map(attribute='name') | join('/') }} {{ venues[1].name }}", "BTC BTC/ETH Binance"),
    ("{{ largest.venue }} {{ largest.symbol }} {{ largest.side }} {{ largest.at | clock }}", 
     "HTX BTC-USDT long 04:42 UTC"),
    ("{{ coverage.word }} {{ coverage.words }} {{ coverage.sampled | join }}", "partial 97 % Binance"),
    ("{{ now | at }}", "2026-01-30 04:43:10 UTC"),
    ("{{ now | at('Europe/Berlin') }}", "2026-01-30 05:43:10 CET (UTC+1)"),
    ("{{ (now - opened) | duration }}", "0 s"),
    ("{{ (long.usd + short.usd) | money }} {{ long.share | percent }}", "$1.80B 95.2 %"),
    ("{% for one in coverage.venues %}{{ one.name }} {{ one.words }}{{ '; ' if not loop.last }}{% endfor %}",
     "Binance 100 %; Bybit 91 %; HTX 100 %"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), SEEN)
def test_what_a_template_sees(source: str, expected: str) -> None:
    assert expected == line(source)


def test_all_that_a_template_sees_is_said_in_one_place() -> None:
    page = values.__module__.replace(".", "/")
    text = (Path(__file__).parents[2] / "services" / f"{page}.py").read_text().split('"""')[1]
    whole, _ = example(RULE)
    for name in (*values(RULE, whole, None), *FILTERS):
        assert name in re.findall(r"\w+", text), name


STEPS = [
    ({"name": "a", "kind": "surge", "times": (Decimal(100),), "floor": Decimal(10**7)}, "100 times the normal"),
    ({"name": "a", "kind": "record", "floor": Decimal(10**7)}, "30 days"),
    ({"name": "a", "kind": "cascade", "side": "long"}, "stage 1"),
    ({"name": "a", "kind": "feed", "scope": "each venue", "condition": "down"}, "2 min"),
    ({"name": "a", "kind": "feed", "scope": "each venue", "condition": "incomplete"}, "5 %"),
    ({"name": "a", "kind": "order", "thresholds": (Decimal(25 * 10**6),)}, "$25M"),
]


@pytest.mark.parametrize(("rule", "expected"), STEPS)
def test_a_threshold_is_written_in_its_own_unit(rule: dict[str, Any], expected: str) -> None:
    assert expected == line("{{ threshold.words }}", rule=RuleSettings.model_validate(rule))


ZONES = [
    ("UTC", "2026-01-30 04:43:10 UTC"),
    ("Europe/London", "2026-01-30 04:43:10 GMT (UTC+0)"),
    ("America/New_York", "2026-01-29 23:43:10 EST (UTC-5)"),
    ("Asia/Kolkata", "2026-01-30 10:13:10 IST (UTC+5:30)"),
    ("America/St_Johns", "2026-01-30 01:13:10 NST (UTC-3:30)"),
    ("Asia/Dubai", "2026-01-30 08:43:10 UTC+4"),
]


@pytest.mark.parametrize(("zone", "expected"), ZONES)
def test_a_time_always_states_its_zone(zone: str, expected: str) -> None:
    assert (expected, expected[11:16]) == (at(AT_MS, zone), clock(AT_MS, zone)[:5])


MARKUP = st.text(st.sampled_from("<>&*_@#`[]()|~\\\n\r\u202e\u200b$%{} aé"), min_size=1, max_size=80)


@given(MARKUP, MARKUP, MARKUP)
@settings(max_examples=60)
def test_no_name_that_a_venue_sends_can_become_markup(coin: str, venue: str, symbol: str) -> None:
    whole, _ = example(RULE)
    assert whole.largest is not None
    snapshot = replace(
        whole,
        scope=f"venue={venue},base={coin}".replace("\n", " "),
        coins=(Amount(coin, DOLLAR),),
        venues=(Amount(venue, DOLLAR),),
        largest=whole.largest.model_copy(update={"symbol": symbol, "venue": venue}),
        coverage=tuple(row.model_copy(update={"venue": venue}) for row in whole.coverage),
    )
    seen = values(RULE, snapshot, None)
    names = [seen["coins"][0]["name"], seen["venues"][0]["name"], seen["largest"]["symbol"], seen["largest"]["venue"]]
    names += [seen["coverage"]["venues"][0]["name"], *seen["coverage"]["sampled"]]
    assert [] == [name for name in names if not all(mark.isalnum() or mark in "._:/-?…" for mark in name)]
    for text in (seen["subject"], seen["place"], seen["scope"]):
        assert set("<>&*@#`[]()|~\\\n\u202e$%{}").isdisjoint(text)


# What a template may not do.

WRONG = [
    ("{{ foo }}", "line 1: there is no variable 'foo'"),
    ("{{ say.headline }}\n{{ largets.usd }}", "line 2: there is no variable 'largets'; did you mean 'largest'?"),
    ("{{ long.wrds }}", "line 1: there is no 'wrds' (where a rule of kind level has fired)"),
    ("a\n{% for %}", "line 2: Expected an expression, got 'end of statement block'"),
    ("{{ now | att }}", "line 1: No filter named 'att'."),
    ("{{ now | pprint }}", "line 1: No filter named 'pprint'."),
    ("{{ now is foo }}", "line 1: No test named 'foo'."),
    ("{{ long }}", "line 1: cannot print a group of values (where a rule of kind level has fired)"),
    ("{{ at_least }}", "line 1: cannot print yes or no (where a rule of kind level has fired)"),
    ("{{ largest.usd }}", "line 1: 'None' has no attribute 'usd' (where a rule of kind level has fired)"),
    ("{{ opened | at }}", "line 1: there is no such time here: ask for it with {% if … %} "
     "(where a rule of kind level has fired)"),
    ("{{ now | at('Mars/Olympus') }}", "line 1: there is no time zone 'Mars/Olympus'; write it as in Europe/Berlin "
     "(where a rule of kind level has fired)"),
    ("{{ '../../etc/passwd' | at }}", "line 1: there is no such time here: ask for it with {% if … %} "
     "(where a rule of kind level has fired)"),
    ("{{ say.headline.upper() }}", "line 1: only range(…) can be called; everything else is a filter, such as "
     "{{ now | at }}"),
    ("{{ ''.__class__.__mro__ }}", "line 1: access to attribute '__class__' of 'str' object is unsafe. "
     "(where a rule of kind level has fired)"),
    ("{% include 'x' %}", "line 1: 'include' is not for templates here"),
    ("{% macro a() %}x{% endmacro %}", "line 1: 'macro' is not for templates here"),
    ("{% set a %}x{% endset %}", "line 1: 'assignblock' is not for templates here"),
    ("{{ kind ~ side }}", "line 1: ~ is not for templates here: write the pieces one after the other"),
    ("{{ 2 ** 99 }}", "line 1: ** is not for templates here"),
    ("{{ [coins] }}", "line 1: a list can only be one of plain words or numbers"),
    ("{% for x in coins recursive %}{% endfor %}", "line 1: a loop cannot be recursive"),
    ("{{ '%9999999d' % 1 }}", "line 1: % is for numbers (where a rule of kind level has fired)"),
    ("", "it says nothing (where a rule of kind level has fired)"),
    ("x" * 8_193, "it is longer than 8,192 characters"),
    ("{{ " + "(" * 3000 + ")" * 3000 + " }}", "it is nested too deeply"),
    ("{{ now" + ".a" * 3500 + " }}", "it is nested too deeply"),
    ("{{ now }}{{ " + "9" * 4_400 + " }}", "it has a number that is too large"),
    ("a\n{{ 1000000000000000001 }}", "line 2: a number that is too large"),
    ("{{ long.share | round(13) }}", "line 1: round takes 0 to 12 places (where a rule of kind level has fired)"),
    ("{{ long.share | round(1000000, 'ceil') }}", "line 1: round takes 0 to 12 places "
     "(where a rule of kind level has fired)"),
    ("{{ usd.usd | round(-1) }}", "line 1: round takes 0 to 12 places (where a rule of kind level has fired)"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), WRONG, ids=[source[:24] for source, _ in WRONG])
def test_a_mistake_is_told_with_its_line(source: str, expected: str) -> None:
    assert expected in mistakes(source)


ENDLESS = [
    "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}x",
    "{% for a in range(900) %}{% for b in range(900) %}{% for c in range(900) %}{{ c }}{% endfor %}"
    + "{% endfor %}" * 2,
    "{% for a in range(1000) %}{{ range(1000) | map('upper') | join | length }}{% endfor %}",
    "{{ range(1000000) | sum }}",
    "{{ 'ab' * 100000000 }}",
    "{{ 10000000000000000000 * 10 }}",
    "{% set x = 'ab' %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
    "{{ 'a' | replace('a', '" + "b" * 5000 + "') }}",
    "{{ range(1000) | join('" + "b" * 3000 + "') }}",
    "{% for a in say.headline %}{% for b in say.headline %}{{ say.coverage | upper }}{% endfor %}{% endfor %}",
]


@pytest.mark.parametrize("source", ENDLESS, ids=[source[:30] for source in ENDLESS])
def test_an_endless_or_huge_template_ends_with_an_error_or_is_cut(source: str) -> None:
    """After as many steps on every machine: nothing here is asserted of seconds."""
    try:
        words = made(source)
    except TemplateFailed as failed:
        assert str(failed).startswith("line 1: ")
    else:
        assert len(words.headline) + len(words.text) <= LONGEST_TEXT


LIST = "{% set one = range(1000) | map(attribute='a', default=say.headline) %}"
LABORIOUS = [
    "{% for a in range(700) %}" + "{{ (orders + 1) and '' }}" * 300 + "{% endfor %}x",
    "{% for a in range(1000) %}" + "{% if kind == side %}{% endif %}" * 200 + "{% endfor %}x",
    "{% for a in range(1000) %}" + "{% set b = kind.upper %}" * 300 + "{% endfor %}x",
    "{% for a in range(1000) %}" + "{% for b in coins %}{% endfor %}" * 200 + "{% endfor %}x",
    "{% for a in range(1000) %}{% for b in '' %}{% else %}" + "{% if a %}{% endif %}" * 300 + "{% endfor %}" * 2 + "x",
    "{% for a in range(1000) if " + " and ".join(["a < 5000"] * 100) + " %}{% endfor %}x",
    "{% set b = range(1000) | sort %}{% for a in range(1000) %}{% if 'a' in b %}{% endif %}{% endfor %}x",
    "{% set b = range(1000) | sort %}{% for a in range(1000) %}{% if 'a' is in(b) %}{% endif %}{% endfor %}x",
    LIST + "{{ '' | join(one) }}" * 300,
    LIST + "{% set two = range(1000) | map(attribute='a', default=one) %}{{ two == one }}",
    "{{ range(1000) | map(attribute='" + "a." * 1000 + "', default='b') | first }}",
]


@pytest.mark.parametrize("source", LABORIOUS, ids=range(len(LABORIOUS)))
def test_work_is_counted_by_what_is_done_and_not_by_the_turns_of_loops(source: str) -> None:
    assert len(source) <= LONGEST_TEMPLATE
    with pytest.raises(TemplateFailed, match=r"steps|longer than"):
        made(source)


def test_a_large_template_of_use_is_far_from_what_may_be_done() -> None:
    source = (
        "{{ say.headline }}\n{% for one in coverage.venues %}{{ one.name }}: {{ one.share | round(2) }} %, "
        "{{ one.words }}{% if one.completeness != 'all' %}, withholds orders{% endif %}; {% endfor %}\n"
        "{{ coverage.venues | map(attribute='name') | sort | join(', ') }} {{ now | at('Europe/Berlin') }}\n"
    )
    whole, _ = example(RULE)
    row = whole.coverage[0]
    many = tuple(row.model_copy(update={"venue": f"venue{number}"}) for number in range(30))
    assert "venue29: 100.0 %, 100 %, withholds orders" in made(source * 2, replace(whole, coverage=many)).text


def test_a_number_too_large_to_be_read_is_a_mistake_like_others_and_costs_no_words() -> None:
    failures: list[str] = []
    made_by = forms("{{ " + "9" * 4_400 + " }}", failures)
    assert ({"compact"}, ["own"]) == (set(words_of(made_by, ("desk", "news"))), failures)


def test_a_text_that_is_too_long_is_cut_and_a_headline_too() -> None:
    words = made("{% for a in range(900) %}word {% endfor %}\n" + "{% for a in range(900) %}word\n{% endfor %}")
    assert (LONGEST_HEADLINE, "…") == (len(words.headline), words.headline[-1])
    words = made("head\n{% for a in range(900) %}{{ say.headline }}\n{% endfor %}")
    assert words.text.endswith("…")
    assert LONGEST_TEXT == len(f"{words.headline}\n{words.text}")


def test_what_comes_out_is_plain_text_of_no_steering_marks_and_not_escaped() -> None:
    words = made("a <b> & 'c'\u202e\u0007\u00a0d\n\n\n\nline  \n\x1b[31mred\n")
    assert ("a <b> & 'c'\u00a0d", "\nline\n[31mred".strip("\n")) == (words.headline, words.text)


# In the service.


def forms(source: str, failures: list[str]) -> Forms:
    targets = {
        "desk": TargetSettings(kind="console", form="own"),
        "news": TargetSettings(kind="console", form="compact"),
        "all": TargetSettings(kind="console"),
    }
    return Forms(targets, {"own": TemplateSettings(text=source)}, failures.append)


def words_of(made_by: Forms, targets: tuple[str, ...], told: Story | None = None) -> dict[str, Words]:
    whole, _ = example(RULE)
    return made_by.words(targets, RULE, whole, told)


def test_only_the_forms_that_somebody_is_told_in_are_made() -> None:
    failures: list[str] = []
    made_by = forms("{{ usd.words }}", failures)
    assert {"own"} == set(words_of(made_by, ("desk", "all")))
    assert {"own", "compact"} == set(words_of(made_by, ("desk", "news")))
    assert {} == words_of(made_by, ("all",))
    assert [] == failures


def test_a_template_that_fails_is_counted_every_time_and_told_once_and_costs_no_words() -> None:
    failures: list[str] = []
    made_by = forms("{{ range(900) | sum / 0 }}", failures)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert {"compact"} == set(words_of(made_by, ("desk", "news")))
    assert ["own"] * 3 == failures
    assert ["line 1: ZeroDivisionError: division by zero"] == [log["reason"] for log in logs]


def test_a_template_that_cannot_even_be_read_is_counted_and_costs_no_words() -> None:
    failures: list[str] = []
    made_by = forms("{% for %}", failures)
    assert ({"compact"}, ["own"]) == (set(words_of(made_by, ("desk", "news"))), failures)


async def test_words_are_as_durable_as_the_step_and_a_successor_tells_the_same() -> None:
    targets = {"console": TargetSettings(kind="console", form="compact")}
    async with Stage([longs()], targets) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("console") == [("fired", "accepted", False)])
        (incident,) = on.incidents()
    (step,) = incident.steps
    assert ["compact"] == list(step.forms)
    assert step.text.startswith("Longs $1.20B (100 %), shorts $0 (0 %); 4 liquidation orders reported.")
    (told,) = on.emitted
    assert [step.forms["compact"].headline, *step.forms["compact"].text.splitlines()] == [
        line.strip().removeprefix("[warning] ") for line in told.splitlines()
    ]
    assert "liquidation orders reported" not in told


async def test_a_step_that_was_written_before_the_restart_is_told_in_the_words_on_record() -> None:
    async with ChatServer(faults=[Fault("limited", seconds=3600)]) as chat:
        target = chat.target("telegram").model_copy(update={"form": "compact"})
        async with Stage([longs()], {"desk": target}) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: on.outcomes("desk") == [("fired", "not_sent", False)])
            await one.kill()
            written = on.incidents()[0].steps[0].forms["compact"]
            await on.start()
            await chat.wait_for(1)
    shown = chat.accepted[0].text.replace("\u200b", "")
    assert f"<b>{written.headline}</b>\n{written.text}" == shown


async def test_a_reload_tells_the_next_step_in_the_other_form() -> None:
    async with Stage([longs()], {"console": TargetSettings(kind="console", form="compact")}) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: len(on.emitted) == 1)
        changed = on.settings()
        target = TargetSettings(kind="console", form="own")
        own = {"own": TemplateSettings(text="{{ usd.words }} {{ nothing_of_the_kind }}")}
        one.service.reload(changed.model_copy(update={"targets": {"console": target}, "templates": own}))
        await on.total(1_800_000_000)
        await until(lambda: len(on.emitted) == 2)
        assert "liquidation orders reported" in on.emitted[1]  # the long form: this template fails
        assert 1 == one.metric("liqwatch_template_failures_total", form="own")
        own = {"own": TemplateSettings(text="{{ kind }} {{ usd.words }}")}
        one.service.reload(changed.model_copy(update={"targets": {"console": target}, "templates": own}))
        await on.total(800_000_000)
        await until(lambda: len(on.emitted) == 3)
        assert "[warning] cleared $800M" == on.emitted[2]


# Settings.


def test_a_template_stands_in_a_file_beside_the_settings_and_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "liqwatch.toml").write_text(
        '[targets.desk]\nkind = "console"\nform = "own"\n[templates.own]\nfile = "own.j2"\n'
    )
    for source in ("{{ usd.words }}", "{{ total.words }}"):
        (tmp_path / "own.j2").write_text(source)
        assert source == configuration.read(tmp_path / "liqwatch.toml", {}).templates["own"].text


def test_all_mistakes_of_templates_are_told_at_once_beside_those_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "liqwatch.toml"
    path.write_text(
        '[http]\nrun_port = 99999\n[targets.desk]\nkind = "console"\nform = "own"\n'
        '[templates.own]\ntext = "{{ usd.wrds }}"\n[templates.two]\ntext = "a\\n{{ foo }} {{ bar }}"\n'
        '[templates.gone]\nfile = "gone.j2"\n[templates.raw]\nfile = "raw.j2"\n'
    )
    (tmp_path / "raw.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError) as caught:
        configuration.read(path, {})
    assert [
        "http.run_port: Input should be less than or equal to 65535",
        "templates.own: line 1: there is no 'wrds' (where a rule of kind level has fired)",
        "templates.two: line 2: there is no variable 'bar'",
        "templates.two: line 2: there is no variable 'foo'",
        f"templates.gone.file: cannot read {tmp_path}/gone.j2: No such file or directory",
        f"templates.raw.file: cannot read {tmp_path}/raw.j2: it is not UTF-8",
    ] == caught.value.mistakes


def test_the_example_of_the_shipped_settings_is_a_template_whose_lines_stay_apart() -> None:
    shipped = (ROOT / "deploy" / "liqwatch.toml").read_text()
    block = "# [templates.berlin]\n" + shipped.partition("# [templates.berlin]\n")[2].partition("\n\n")[0]
    shown = load(tomllib.loads(re.sub("^# ?", "", block, flags=re.MULTILINE)), {}, ()).templates["berlin"].text
    assert shown is not None and [] == mistakes(shown)
    words = made(shown)
    assert "At least $1.71B of longs" in words.headline
    coins, stand = words.text.splitlines()
    assert (True, True) == (coins.startswith("BTC $"), stand.startswith("Stand: 2026-01-30 ")), words.text


def test_who_sends_nothing_needs_no_files_of_templates(tmp_path: Path) -> None:
    path = tmp_path / "liqwatch.toml"
    path.write_text('[templates.gone]\nfile = "gone.j2"\n')
    assert configuration.read(path, {}, resolve_secrets=False).templates["gone"].text is None


def test_a_rehearsal_has_every_target_in_its_form_and_says_which_one_fails() -> None:
    made_up = Settings(
        targets={
            "desk": TargetSettings(kind="console", form="compact"),
            "news": TargetSettings(kind="console", form="own"),
            "off": TargetSettings(kind="console", enabled=False),
            "other": TargetSettings(kind="console"),
        },
        templates={"own": TemplateSettings(text="{{ 1 / 0 }}")},
    )
    rule = RULE.model_copy(update={"targets": ("desk", "news", "off")})
    assert [
        "longs-24h, with made-up figures:",
        "  desk (console, compact):",
        "    At least $1.71B of longs liquidated in 24 hours, past $1.7B.",
        "      Longs $1.71B (95.2 %), shorts $85.8M (4.8 %).",
        "      Coverage 97 %, a floor. As of 2026-01-30 04:43:10 UTC.",
        "  news (console, long, because the form own failed):",
    ] == list(rehearse(made_up, rule))[:6]


COMMANDS = [
    (["check-config"], 0, "  template own: for desk\n  template spare: no target names it as its form\n"),
    (["alert", "--dry-run-alert", "longs", "--config"], 0, "  desk (console, own):\n    $1.71B fired\n"),
    (
        ["alert", "--dry-run-alert", "long", "--config"],
        2,
        "liqwatch: no rule is called 'long'; did you mean 'longs'?\n",
    ),
    (["alert", "--dry-run-alert", "x", "--config"], 2, "liqwatch: no rule is called 'x'; there are longs\n"),
]


@pytest.mark.parametrize(("command", "status", "expected"), COMMANDS, ids=[" ".join(one[0]) for one in COMMANDS])
def test_the_command_line_shows_templates_and_what_they_make(
    command: list[str], status: int, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "liqwatch.toml"
    path.write_text(
        '[targets.desk]\nkind = "console"\nform = "own"\n[templates.own]\ntext = "{{ usd.words }} {{ kind }}"\n'
        '[templates.spare]\ntext = "{{ kind }}"\n[[rules]]\nname = "longs"\nside = "long"\nthresholds = ["1.7B"]\n'
    )
    done = CliRunner().invoke(main, [*command, str(path)])
    assert (status, True) == (done.exit_code, done.output.endswith(expected)), done.output


def test_the_built_in_templates_have_no_mistakes() -> None:
    assert {form: [] for form in FORMS} == {form: mistakes(built_in(form)) for form in FORMS}
