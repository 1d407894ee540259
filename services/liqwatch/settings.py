"""One TOML file and the environment, made into frozen models; every mistake at once, with its path and a remedy.

`load` reads no file itself: it is given the parsed TOML and the environment. Single values are overridden by
`LIQWATCH_<SECTION>__<KEY>`; a secret may be given as `<name>_file` instead, read by `assembly.py`.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, get_origin

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from .coins import CoinSettings
from .crosschecks import contradictions
from .routes import RouteSettings
from .rulesettings import RuleSettings
from .section import Duration, Section, Usd
from .spelling import did_you_mean, parse_duration, parse_money, window_name

__all__ = [
    "RuleSettings",
    "Section",
    "Settings",
    "SettingsError",
    "TemplateSettings",
    "load",
    "parse_duration",
    "parse_money",
    "window_name",
]

ENVIRONMENT_PREFIX = "LIQWATCH_"
# Names of the environment that begin like settings and are none: where the settings are, what the compose file, the
# development broker and the tests take. Whoever has exported one for those is not to be stopped by it here.
NOT_SETTINGS = frozenset(
    {
        "LIQWATCH_CONFIG",
        "LIQWATCH_FRAMES",
        "LIQWATCH_FUZZ_EXAMPLES",
        "LIQWATCH_KAFKA_JARS",
        "LIQWATCH_KAFKA_JAVA_FLAGS",
        "LIQWATCH_SETTINGS",
    }
)


class SettingsError(Exception):
    """The settings cannot be used. `mistakes` are sentences, each naming a key and the remedy."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


Port = Annotated[int, Field(ge=0, le=65535)]


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
    web_port: Port = 9468


class WebSettings(Section):
    """The live page and its API. Port 0 takes a free one."""

    enabled: bool = Field(default=True, description="Inside `run`; the command `web` serves it in any case.")
    host: str = "127.0.0.1"
    port: Port = 8080
    hosts: tuple[str, ...] = Field(
        default=(),
        description="Names with a dot under which it is asked for, such as a proxy's; others are refused.",
    )
    estimate: bool = Field(default=False, description="A range beside the totals for what sampled feeds withhold.")
    token: SecretStr | None = Field(default=None, description="Who sends it may write silences; without it nobody may.")
    token_file: str | None = None

    @field_validator("hosts")
    @classmethod
    def _bare(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for name in hosts:
            if not name or set(name) & set("/:*@ "):
                raise ValueError(f"write the bare name, such as liqwatch.example.org, for {name[:64]!r}")
        return hosts


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
    fill_gaps: bool = True
    compare_every: Duration = timedelta(hours=1)
    largest_order: Usd = Decimal(1_000_000_000)
    implausible_price: Annotated[float, Field(ge=2)] = 5.0
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
        "USDF",
        "USDG",
        "USDS",
        "RLUSD",
    )


class AggregatorSettings(Section):
    """Which rolling windows are kept."""

    windows: tuple[Duration, ...] = tuple(timedelta(minutes=m) for m in (5, 60, 240, 720, 1440))
    coalesce: Duration = timedelta(milliseconds=15)

    @field_validator("windows")
    @classmethod
    def _ascending(cls, windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        if not windows or any(span < timedelta(seconds=1) or span > timedelta(days=3) for span in windows):
            raise ValueError("name at least one window, each from 1s to 3d")
        if any(span.microseconds for span in windows):
            raise ValueError("windows are whole seconds: write 90s, not 90.5s")
        if len(set(windows)) != len(windows):
            raise ValueError("a window is named twice")
        return tuple(sorted(windows))


class TargetSettings(Section):
    """Where alerts go. Which keys a kind needs is checked when it is built."""

    kind: Literal["console", "slack", "telegram", "discord", "teams", "pagerduty", "alertmanager", "webhook"]
    enabled: bool = True
    url: SecretStr | None = Field(
        default=None, description="Incoming webhook (slack, discord, teams), webhook address, or that of Alertmanager."
    )
    url_file: str | None = None
    token: SecretStr | None = Field(
        default=None, description="Bot token (slack, telegram, discord), integration key (pagerduty)."
    )
    token_file: str | None = None
    secret: SecretStr | None = Field(default=None, description="Signs the body of a webhook (HMAC-SHA256).")
    secret_file: str | None = None
    channel: str | None = Field(default=None, description="Slack or Discord channel id, Telegram chat id.")
    api_origin: str | None = Field(default=None, description="Replaces the chat's own origin (tests, proxies).")
    allow_private: bool = Field(default=False, description="Allow http and private addresses (tests, own network).")
    on_unknown: Literal["resend", "hold"] = "resend"
    timeout: Duration = timedelta(seconds=10)
    form: str = Field(default="long", description="Which words: `long`, `compact`, or the name of a template.")
    picture: bool = Field(default=False, description="A picture of the last 24 hours follows what fires or steps up.")

    @model_validator(mode="after")
    def _complete(self) -> "TargetSettings":
        have_url = self.url or self.url_file
        have_token = self.token or self.token_file
        missing = {
            "console": None,
            "slack": None if have_url or (have_token and self.channel) else "url, or token and channel",
            "telegram": None if have_token and self.channel else "token and channel (the chat id)",
            "discord": None if have_url or (have_token and self.channel) else "url, or token and channel",
            "teams": None if have_url else "url (of a workflow's webhook)",
            "pagerduty": None if have_token else "token (the integration key)",
            "alertmanager": None if have_url else "url",
            "webhook": None if have_url and (self.secret or self.secret_file) else "url and secret",
        }[self.kind]
        if missing and self.enabled:
            raise ValueError(f"a {self.kind} target needs {missing} (or the same with _file)")
        if self.picture and (self.kind not in ("slack", "telegram", "discord") or (self.kind == "slack" and have_url)):
            raise ValueError("picture: only a slack bot (token and channel), telegram and discord take pictures")
        return self


class TemplateSettings(Section):
    """A form of words of one's own, for targets that name it."""

    text: str | None = Field(default=None, description="The template; its first line is the headline.")
    file: str | None = Field(default=None, description="Where it stands instead, seen from the settings' folder.")

    @model_validator(mode="after")
    def _one(self) -> "TemplateSettings":
        if (self.text is None) == (self.file is None):
            raise ValueError("a template needs text or file, one of them")
        return self


class Settings(Section):
    """Everything that can be set."""

    log: LogSettings = LogSettings()
    http: HttpSettings = HttpSettings()
    web: WebSettings = WebSettings()
    logging: LoggingSettings = LoggingSettings()
    collector: CollectorSettings = CollectorSettings()
    aggregator: AggregatorSettings = AggregatorSettings()
    venues: dict[str, VenueSettings] = Field(default_factory=dict)
    targets: dict[str, TargetSettings] = Field(default_factory=lambda: {"console": TargetSettings(kind="console")})
    templates: dict[str, TemplateSettings] = Field(default_factory=dict)
    coins: CoinSettings = CoinSettings()
    routes: tuple[RouteSettings, ...] = ()
    rules: tuple[RuleSettings, ...] = ()


def load(table: Mapping[str, Any], environment: Mapping[str, str], known_venues: tuple[str, ...]) -> Settings:
    """Settings from a parsed TOML file and the environment. Raises `SettingsError` with every mistake."""
    merged, mistakes = _with_environment(table, environment)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        mistakes += list(_sentences(error))
    # On the values as written: what contradicts another value is told beside what is wrong by itself.
    mistakes += contradictions(merged, known_venues)
    if mistakes or settings is None:
        raise SettingsError(list(dict.fromkeys(mistakes)))
    return settings


def _with_environment(table: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    merged: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in table.items()}
    mistakes: list[str] = []
    for name in sorted(environment):
        if not name.startswith(ENVIRONMENT_PREFIX) or name.upper() in NOT_SETTINGS:
            continue
        path = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
        if path[0] not in Settings.model_fields or path[0] in ("rules", "routes") or len(path) < 2:
            mistakes.append(f"{name} in the environment: no such setting{did_you_mean(path[0], Settings.model_fields)}")
            continue
        place = merged
        for part in path[:-1]:
            key = _as_written(part, place)
            inner = place.get(key)
            place[key] = dict(inner) if isinstance(inner, Mapping) else {}
            place = place[key]
        place[_as_written(path[-1], place)] = _from_text(environment[name], _type_at(path))
    return merged, mistakes


def _as_written(part: str, table: Mapping[str, Any]) -> str:
    """The key of `table` that `part` means: names of targets may have capitals, those in the environment have none."""
    return part if part in table else next((key for key in table if key.lower() == part), part)


def _from_text(text: str, wanted: Any) -> Any:
    """A list where a list is wanted; the model reads the rest, so that a password may be `true` or begin with `[`."""
    if get_origin(wanted) is tuple and text.startswith("["):
        with contextlib.suppress(ValueError):  # else it is a mistake, and the model says so
            return json.loads(text)
    return text


def _type_at(path: Sequence[str]) -> Any:
    model = _model_at(tuple(path[:-1]))
    return model.model_fields[path[-1]].annotation if model is not None and path[-1] in model.model_fields else None


def _sentences(error: ValidationError) -> Iterator[str]:
    for mistake in error.errors(include_url=False, include_input=False):
        path = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            known = _keys_at(mistake["loc"][:-1])
            yield f"{path}: unknown key{did_you_mean(str(mistake['loc'][-1]), known)}"
        elif mistake["type"] == "missing":
            yield f"{path}: is missing"
        else:
            yield f"{path}: {mistake['msg'].removeprefix('Value error, ')}"


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    model = _model_at(path)
    return list(model.model_fields) if model is not None else []


def _model_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    model: Any = Settings
    for part in path:
        if isinstance(part, int):
            continue
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            return None
        if part in ("venues", "targets", "templates", "rules", "routes"):
            model = {
                "venues": VenueSettings, "targets": TargetSettings, "templates": TemplateSettings,
                "rules": RuleSettings, "routes": RouteSettings,
            }[part]  # fmt: skip
        elif part in model.model_fields:
            model = model.model_fields[part].annotation
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None
