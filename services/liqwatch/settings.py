"""One TOML file and the environment, made into frozen models; every mistake at once, with its path and a remedy.

`load` reads no file itself: it is given the parsed TOML and the environment. Single values are overridden by
`LIQWATCH_<SECTION>__<KEY>`; a secret may be given as `<name>_file` instead, read by `assembly.py`.
"""

import contextlib
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

ENVIRONMENT_PREFIX = "LIQWATCH_"
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$")
_MONEY = re.compile(r"^\$?\s*(\d[\d_]*(?:\.\d+)?)\s*([KMBTkmbt]?)$")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_SCALE = {"": 0, "K": 3, "M": 6, "B": 9, "T": 12}
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


class SettingsError(Exception):
    """The settings cannot be used. `mistakes` are sentences, each naming a key and the remedy."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def parse_duration(value: object) -> timedelta:
    """`30s`, `5m`, `24h`, `7d`, `250ms`. Raises `ValueError`."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a duration as a number and a unit, such as "30s", "5m", "24h" or "7d"')
    return timedelta(seconds=float(Decimal(match[1]) * _SECONDS[match[2]]))


def parse_money(value: object) -> Decimal:
    """`"1.7B"`, `"250M"`, `"$500K"` or a plain number: USD. Raises `ValueError`."""
    if isinstance(value, bool):
        value = None
    if isinstance(value, int | Decimal):
        amount = Decimal(value)
    elif isinstance(value, float):
        amount = Decimal(repr(value))
    else:
        match = _MONEY.match(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError('write an amount in USD such as "1.7B", "250M", "500K" or 1700000000')
        amount = Decimal(match[1].replace("_", "")).scaleb(_SCALE[match[2].upper()])
    if not amount.is_finite() or amount <= 0:
        raise ValueError("an amount in USD has to be above zero")
    return amount


def window_name(span: timedelta) -> str:
    """`5m`, `1h`, `24h`: how a window is called in messages and labels."""
    seconds = int(span.total_seconds())
    return f"{seconds // 3600}h" if seconds % 3600 == 0 else f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Usd = Annotated[Decimal, BeforeValidator(parse_money)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Section(BaseModel):
    """A table of the settings: unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KafkaSettings(Section):
    """How to reach Apache Kafka."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: str | None = None
    ca_file: str | None = None
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 1
    group_prefix: str = "liqwatch"
    group_instance_id: str | None = None
    session_timeout: Duration = timedelta(seconds=10)


class LogSettings(Section):
    """Where the topics live."""

    backend: Literal["sqlite", "kafka"] = "sqlite"
    path: str = "data/liqwatch.db"
    kafka: KafkaSettings = KafkaSettings()


class HttpSettings(Section):
    """Where each service answers /metrics, /livez and /readyz. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    run_port: Port = 9464
    collect_port: Port = 9465
    aggregate_port: Port = 9466
    alert_port: Port = 9467


class LoggingSettings(Section):
    """What goes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class VenueSettings(Section):
    """One venue. The origins replace scheme, host and port of its documented addresses (tests, simulator, proxies)."""

    enabled: bool | None = None
    websocket_origin: str | None = None
    rest_origin: str | None = None


class CollectorSettings(Section):
    """How the feeds are collected."""

    collector: str = "collector-1"
    refresh_instruments: Duration = timedelta(minutes=10)
    memory_limit_events: Annotated[int, Field(ge=1000)] = 200_000
    spool_path: str = "data/spool"
    spool_limit_mib: Annotated[int, Field(ge=0)] = 512
    coverage_every: Duration = timedelta(seconds=5)
    usd_currencies: tuple[str, ...] = (
        "USD",
        "USDT",
        "USDC",
        "USD1",
        "FDUSD",
        "BUSD",
        "TUSD",
        "USDE",
        "USDD",
        "DAI",
        "PYUSD",
    )


class AggregatorSettings(Section):
    """Which rolling windows are kept."""

    windows: tuple[Duration, ...] = tuple(timedelta(minutes=m) for m in (5, 60, 240, 720, 1440))
    coalesce: Duration = timedelta(milliseconds=25)

    @field_validator("windows")
    @classmethod
    def _ascending(cls, windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        if not windows or any(span < timedelta(seconds=1) or span > timedelta(days=3) for span in windows):
            raise ValueError("name at least one window, each from 1s to 3d")
        if len(set(windows)) != len(windows):
            raise ValueError("a window is named twice")
        return tuple(sorted(windows))


class TargetSettings(Section):
    """Where alerts go. Which keys a kind needs is checked when it is built."""

    kind: Literal["console", "slack", "telegram", "discord", "webhook"]
    enabled: bool = True
    url: SecretStr | None = Field(default=None, description="Incoming webhook (slack, discord) or webhook address.")
    url_file: str | None = None
    token: SecretStr | None = Field(default=None, description="Bot token (slack, telegram, discord).")
    token_file: str | None = None
    secret: SecretStr | None = Field(default=None, description="Signs the body of a webhook (HMAC-SHA256).")
    secret_file: str | None = None
    channel: str | None = Field(default=None, description="Slack or Discord channel id, Telegram chat id.")
    api_origin: str | None = Field(default=None, description="Replaces the chat's own origin (tests, proxies).")
    allow_private: bool = Field(default=False, description="Allow http and private addresses (tests, own network).")
    on_unknown: Literal["resend", "hold"] = "resend"
    timeout: Duration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _complete(self) -> "TargetSettings":
        have_url = self.url or self.url_file
        have_token = self.token or self.token_file
        missing = {
            "console": None,
            "slack": None if have_url or (have_token and self.channel) else "url, or token and channel",
            "telegram": None if have_token and self.channel else "token and channel (the chat id)",
            "discord": None if have_url or (have_token and self.channel) else "url, or token and channel",
            "webhook": None if have_url and (self.secret or self.secret_file) else "url and secret",
        }[self.kind]
        if missing and self.enabled:
            raise ValueError(f"a {self.kind} target needs {missing} (or the same with _file)")
        return self


class RuleSettings(Section):
    """A level rule: says when a rolling total crosses the steps of a ladder."""

    name: str
    kind: Literal["level"] = "level"
    scope: str = Field(default="all", description="`all`, `venue=binance`, `base=BTC`, `each base` or `each venue`.")
    side: Literal["long", "short", "both"] = "both"
    window: Duration = timedelta(hours=24)
    thresholds: tuple[Usd, ...]
    clear_below: Usd | None = Field(
        default=None, description="Cleared under this total; by default 90 % of the first step."
    )
    hold: Duration = Field(default=timedelta(0), description="The total has to stay above for so long before it fires.")
    clear_hold: Duration = Field(default=timedelta(seconds=60), description="… and below for so long before it clears.")
    repeat: Duration | None = Field(default=None, description="Remind this often while it lasts; absent: never.")
    severity: Literal["info", "warning", "critical"] = "warning"
    targets: tuple[str, ...] = Field(default=(), description="Names of targets; empty: all of them.")

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.match(name):
            raise ValueError("a name is 1 to 64 letters, digits, '-', '_' or '.'")
        return name

    @field_validator("scope")
    @classmethod
    def _scope(cls, scope: str) -> str:
        if not re.match(
            r"^(all|each base|each venue|venue=[\w.-]+|base=[\w.:/-]+|venue=[\w.-]+,base=[\w.:/-]+)$", scope
        ):
            raise ValueError(
                'a scope is "all", "venue=NAME", "base=COIN", "venue=NAME,base=COIN", "each base" or "each venue"'
            )
        return scope

    @field_validator("thresholds")
    @classmethod
    def _ladder(cls, steps: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
        if not steps:
            raise ValueError("name at least one threshold")
        if list(steps) != sorted(set(steps)):
            raise ValueError("thresholds rise from step to step, none twice")
        return steps

    @model_validator(mode="after")
    def _clears_below(self) -> "RuleSettings":
        if self.clear_below is not None and self.clear_below >= self.thresholds[0]:
            raise ValueError("clear_below has to be under the first threshold")
        return self

    @property
    def clear_level(self) -> Decimal:
        """USD under which the incident clears."""
        return self.clear_below if self.clear_below is not None else self.thresholds[0] * Decimal("0.9")


class Settings(Section):
    """Everything that can be set."""

    log: LogSettings = LogSettings()
    http: HttpSettings = HttpSettings()
    logging: LoggingSettings = LoggingSettings()
    collector: CollectorSettings = CollectorSettings()
    aggregator: AggregatorSettings = AggregatorSettings()
    venues: dict[str, VenueSettings] = Field(default_factory=dict)
    targets: dict[str, TargetSettings] = Field(default_factory=lambda: {"console": TargetSettings(kind="console")})
    rules: tuple[RuleSettings, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        mistakes: list[str] = []
        names = [rule.name for rule in self.rules]
        windows = set(self.aggregator.windows)
        for index, rule in enumerate(self.rules):
            if names.index(rule.name) != index:
                mistakes.append(f"rules.{index}.name: the name {rule.name!r} is used twice")
            if rule.window not in windows:
                known = ", ".join(window_name(span) for span in self.aggregator.windows)
                mistakes.append(
                    f"rules.{index}.window: {window_name(rule.window)} is not kept; choose one of {known}, "
                    "or add it to aggregator.windows"
                )
            for target in rule.targets:
                if target not in self.targets:
                    mistakes.append(
                        f"rules.{index}.targets: no target is called {target!r}{_did_you_mean(target, self.targets)}"
                    )
        if mistakes:
            raise SettingsError(mistakes)
        return self


def load(table: Mapping[str, Any], environment: Mapping[str, str], known_venues: tuple[str, ...]) -> Settings:
    """Settings from a parsed TOML file and the environment. Raises `SettingsError` with every mistake."""
    merged, mistakes = _with_environment(table, environment)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(merged)
    except SettingsError as error:
        mistakes += error.mistakes
    except ValidationError as error:
        mistakes += list(_sentences(error))
    venues = merged.get("venues")
    for name in venues if isinstance(venues, Mapping) else ():
        if name not in known_venues:
            mistakes.append(f"venues.{name}: unknown venue{_did_you_mean(name, known_venues)}")
    if mistakes or settings is None:
        raise SettingsError(mistakes)
    return settings


def _with_environment(table: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    merged: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in table.items()}
    mistakes: list[str] = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        path = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
        if path == ["config"]:
            continue
        if path[0] not in Settings.model_fields or path[0] == "rules" or len(path) < 2:
            mistakes.append(
                f"{name} in the environment: no such setting{_did_you_mean(path[0], Settings.model_fields)}"
            )
            continue
        place = merged
        for part in path[:-1]:
            inner = place.get(part)
            place[part] = dict(inner) if isinstance(inner, Mapping) else {}
            place = place[part]
        place[path[-1]] = _from_text(environment[name])
    return merged, mistakes


def _from_text(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.startswith("["):
        with contextlib.suppress(ValueError):  # else it is a mistake, and the model says so
            return json.loads(text)
    return text


def _sentences(error: ValidationError) -> Iterator[str]:
    for mistake in error.errors(include_url=False, include_input=False):
        path = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            known = _keys_at(mistake["loc"][:-1])
            yield f"{path}: unknown key{_did_you_mean(str(mistake['loc'][-1]), known)}"
        elif mistake["type"] == "missing":
            yield f"{path}: is missing"
        else:
            yield f"{path}: {mistake['msg'].removeprefix('Value error, ')}"


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    model: Any = Settings
    for part in path:
        if isinstance(part, int):
            continue
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            return []
        if part in ("venues", "targets", "rules"):
            model = {"venues": VenueSettings, "targets": TargetSettings, "rules": RuleSettings}[part]
        elif part in model.model_fields:
            model = model.model_fields[part].annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _did_you_mean(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, [str(name) for name in known], n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
