"""Settings: every known mistake gives a sentence that names the key and the remedy; good ones mean what they say."""

import re
import tomllib
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from liqwatch import configuration, venues
from liqwatch.alerter.notifiers import slack
from liqwatch.routes import RouteSettings
from liqwatch.settings import (
    ENVIRONMENT_PREFIX,
    NOT_SETTINGS,
    RuleSettings,
    Settings,
    SettingsError,
    TargetSettings,
    TemplateSettings,
    VenueSettings,
    load,
    parse_duration,
    parse_money,
    window_name,
)
from tests.support.repository import files

ROOT = Path(__file__).resolve().parents[2]
MISTAKES = sorted((ROOT / "tests" / "data" / "settings").glob("*.toml"))
SHIPPED = ROOT / "deploy" / "liqwatch.toml"
KNOWN = ("binance", "bybit")


def expected_sentences(path: Path) -> list[str]:
    return [line.removeprefix("#: ") for line in path.read_text().splitlines() if line.startswith("#: ")]


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_a_known_mistake_is_answered_with_its_path_and_remedy(path: Path) -> None:
    table = tomllib.loads(path.read_text(), parse_float=Decimal)
    with pytest.raises(SettingsError) as caught:
        load(table, {}, KNOWN)
    assert sorted(expected_sentences(path)) == sorted(caught.value.mistakes)


def test_there_is_a_file_for_each_kind_of_mistake() -> None:
    assert len(MISTAKES) >= 8


def test_the_shipped_settings_are_the_defaults_and_name_the_five_long_thresholds() -> None:
    settings = configuration.read(SHIPPED, {})
    bare = load({}, {}, venues.names())
    for section in ("log", "http", "logging", "collector", "aggregator", "venues", "targets"):
        assert getattr(bare, section) == getattr(settings, section), section
    longs = next(rule for rule in settings.rules if rule.name == "longs-24h")
    assert [Decimal(10) ** 9 * step for step in (1, Decimal("1.7"), 3, 5, 10)] == list(longs.thresholds)
    assert (longs.side, longs.scope, longs.window) == ("long", "all", timedelta(hours=24))


def test_every_setting_stands_in_the_shipped_file() -> None:
    keys = set(re.findall(r"\b([a-z_]+) = ", SHIPPED.read_text()))
    models: list[type[BaseModel]] = [Settings, VenueSettings, TargetSettings, TemplateSettings]
    models += [RouteSettings, RuleSettings]
    missing: list[str] = []
    while models:
        model = models.pop()
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                models.append(field.annotation)  # a table
            elif model is not Settings and keys.isdisjoint({name, name.removesuffix("_file"), f"{name}_file"}):
                missing.append(f"{model.__name__}.{name}")
    assert [] == missing


def test_the_shipped_file_says_the_defaults_of_what_every_target_has() -> None:
    text, defaults = SHIPPED.read_text(), TargetSettings(kind="console")
    assert timedelta(seconds=10) == defaults.timeout and '\n# timeout = "10s" ' in text
    assert defaults.enabled and "\nenabled = true " in text.partition("[targets.console]")[2].partition("\n\n")[0]
    assert defaults.api_origin is None and f'\n# api_origin = "{slack.ORIGIN}"  # default: ' in text


def test_the_environment_overrides_single_values() -> None:
    settings = load(
        {"log": {"backend": "sqlite"}},
        {"LIQWATCH_LOG__BACKEND": "kafka", "LIQWATCH_LOG__KAFKA__BOOTSTRAP_SERVERS": "a:1,b:2", "OTHER": "x"},
        KNOWN,
    )
    assert ("kafka", "a:1,b:2") == (settings.log.backend, settings.log.kafka.bootstrap_servers)


def test_a_list_in_the_environment_is_written_as_in_the_file() -> None:
    settings = load({}, {"LIQWATCH_AGGREGATOR__WINDOWS": '["5m", "24h"]'}, KNOWN)
    assert (timedelta(minutes=5), timedelta(hours=24)) == settings.aggregator.windows


def test_a_misspelt_name_in_the_environment_is_a_mistake() -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {"LIQWATCH_LOGG__BACKEND": "kafka"}, KNOWN)
    assert ["LIQWATCH_LOGG__BACKEND in the environment: no such setting; did you mean 'log'?"] == caught.value.mistakes


@pytest.mark.parametrize("name", sorted(NOT_SETTINGS))
def test_what_the_project_itself_takes_from_the_environment_is_passed_over(name: str) -> None:
    assert load({}, {}, KNOWN) == load({}, {name: "/somewhere"}, KNOWN)


def test_another_name_without_a_section_is_a_mistake() -> None:
    name = ENVIRONMENT_PREFIX + "SETTING"
    with pytest.raises(SettingsError, match=f"^{name} in the environment: no such setting"):
        load({}, {name: "/somewhere"}, KNOWN)


def test_the_names_that_are_no_settings_are_those_that_the_repository_uses() -> None:
    texts = [path.read_text(errors="ignore") for path in files()]
    found = {name for text in texts for name in re.findall(r"\bLIQWATCH_[A-Z][A-Z_]*", text)}
    assert {name for name in found if "__" not in name} == NOT_SETTINGS


def test_a_target_in_the_environment_is_the_one_of_the_file_whatever_its_capitals() -> None:
    table = {"targets": {"Desk": {"kind": "slack", "channel": "C1"}}}
    settings = load(table, {"LIQWATCH_TARGETS__Desk__TOKEN": "xoxb-1"}, KNOWN)
    assert ["Desk"] == list(settings.targets)
    token = settings.targets["Desk"].token
    assert token is not None and "xoxb-1" == token.get_secret_value()


@pytest.mark.parametrize("text", ["true", "False", "[1]", "[half", "123"])
def test_a_secret_in_the_environment_is_text_whatever_it_looks_like(text: str) -> None:
    settings = load({}, {"LIQWATCH_LOG__KAFKA__SASL_PASSWORD": text}, KNOWN)
    password = settings.log.kafka.sasl_password
    assert password is not None and text == password.get_secret_value()


def test_a_switch_in_the_environment_is_true_or_false() -> None:
    settings = load(
        {}, {"LIQWATCH_VENUES__BINANCE__ENABLED": "False", "LIQWATCH_VENUES__BYBIT__ENABLED": "true"}, KNOWN
    )
    assert (False, True) == (settings.venues["binance"].enabled, settings.venues["bybit"].enabled)


@pytest.mark.parametrize(
    ("text", "dollars"),
    [("1.7B", "1700000000"), ("$250M", "250000000"), ("500k", "500000"), ("1_000", "1000"), (1700000000, "1700000000")],
)
def test_amounts_are_read_as_people_write_them(text: object, dollars: str) -> None:
    assert Decimal(dollars) == parse_money(text)


@pytest.mark.parametrize("text", ["1.7X", "", "-1B", "0", None, True, "1e9", "nan", [], float("inf")])
def test_what_is_no_amount_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="USD"):
        parse_money(text)


@pytest.mark.parametrize(("text", "name"), [("5m", "5m"), ("60m", "1h"), ("24h", "24h"), ("1d", "24h"), ("90s", "90s")])
def test_durations_have_one_name(text: str, name: str) -> None:
    assert name == window_name(parse_duration(text))


def test_a_secret_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("xoxb-very-secret\n")
    config = tmp_path / "c.toml"
    config.write_text(f'[targets.desk]\nkind = "slack"\nchannel = "C1"\ntoken_file = "{tmp_path}/token"\n')
    settings = configuration.read(config, {})
    assert ["xoxb-very-secret"] == list(configuration.secrets(settings))
    assert "very-secret" not in repr(settings) + settings.model_dump_json()


def test_a_missing_secret_file_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        configuration.read(None, {"LIQWATCH_CONFIG": str(ROOT / "tests/data/settings/secret_file_missing.conf")})
    assert [
        "targets.desk.token_file: cannot read /nonexistent/token: No such file or directory"
    ] == caught.value.mistakes


@pytest.mark.parametrize(
    ("line", "content", "mistakes"),
    [
        ('kind = "slack"\nchannel = "C1"\ntoken_file', "xoxb-hush\n", []),
        (
            'kind = "slack"\nchannel = "C1"\ntoken_file',
            "xoxb-hush\nxoxb-hush\n",
            ["token_file: the token has a line break or another control character in it; write it without"],
        ),
        ('kind = "teams"\nurl_file', "https://hush.example/hush\r\n", []),
        ('kind = "teams"\nurl_file', "hush.example/hush\n", ["url_file: the address is not an http(s) URL"]),
        ('kind = "teams"\nenabled = false\nurl_file', "hush.example/hush\n", []),
        (
            'kind = "teams"\nurl_file',
            "http://hush.example/hush\n",
            ["url_file: http is not used unless allow_private is set; write https"],
        ),
        ('kind = "teams"\nallow_private = true\nurl_file', "http://hush.example/hush\n", []),
    ],
)
def test_what_a_file_holds_is_checked_too_and_never_shown(
    line: str, content: str, mistakes: list[str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(content)
    config = tmp_path / "liqwatch.toml"
    config.write_text(f'[targets.desk]\n{line} = "{tmp_path}/secret"\n')
    found: list[str] = []
    try:
        configuration.read(config, {})
    except SettingsError as error:
        found = error.mistakes
    assert [f"targets.desk.{mistake}" for mistake in mistakes] == found


@pytest.mark.parametrize(
    ("allowed", "mistakes"), [("true", 0), ("1", 0), ("false", 1), ("perhaps", 1)]
)  # "perhaps" is itself the mistake
def test_a_private_address_may_be_allowed_by_the_environment(allowed: str, mistakes: int) -> None:
    table = {"targets": {"am": {"kind": "alertmanager", "url": "http://127.0.0.1:9093"}}}
    found: list[str] = []
    try:
        load(table, {"LIQWATCH_TARGETS__AM__ALLOW_PRIVATE": allowed}, KNOWN)
    except SettingsError as error:
        found = error.mistakes
    assert mistakes == len(found), found


def test_settings_can_be_read_without_their_secrets() -> None:
    settings = configuration.read(ROOT / "tests/data/settings/secret_file_missing.conf", {}, resolve_secrets=False)
    assert "/nonexistent/token" == settings.targets["desk"].token_file


def test_a_file_that_is_not_toml_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("rules = [")
    for path, words in ((tmp_path / "bad.toml", "not valid TOML"), (tmp_path / "none.toml", "No such file")):
        with pytest.raises(SettingsError, match=words):
            configuration.read(path, {})
