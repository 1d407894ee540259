"""Finds and reads the settings: the TOML file, the environment, and the files that hold secrets."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr

from . import venues
from .settings import Settings, SettingsError, load

_PACKAGED = Path(__file__).with_name("liqwatch.toml")
_CHECKOUT = Path(__file__).resolve().parents[2] / "deploy" / "liqwatch.toml"
_MAX_SECRET_BYTES = 64 * 1024
_S = TypeVar("_S", bound=BaseModel)


def default_path(environment: Mapping[str, str]) -> Path | None:
    """$LIQWATCH_CONFIG, ./liqwatch.toml, else the defaults that come with the program."""
    if environment.get("LIQWATCH_CONFIG"):
        return Path(environment["LIQWATCH_CONFIG"])
    for candidate in (Path("liqwatch.toml"), _PACKAGED, _CHECKOUT):
        if candidate.is_file():
            return candidate
    return None


def read(path: Path | None, environment: Mapping[str, str] | None = None, *, resolve_secrets: bool = True) -> Settings:
    """The settings in force. Raises `SettingsError` with every mistake found.

    Without `resolve_secrets` the files that hold secrets need not be there: for who sends nothing anywhere.
    """
    environment = os.environ if environment is None else environment
    path = path or default_path(environment)
    settings = load(_table(path) if path else {}, environment, venues.names())
    return _with_secrets(settings) if resolve_secrets else settings


def _table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file, parse_float=Decimal)
    except OSError as error:
        raise SettingsError([f"cannot read the settings file {path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} is not valid TOML: {error}"]) from None


def _with_secrets(settings: Settings) -> Settings:
    mistakes: list[str] = []
    kafka, wrong = _resolved(settings.log.kafka, "log.kafka")
    mistakes += wrong
    page, wrong = _resolved(settings.web, "web")
    mistakes += wrong
    targets = {}
    for name, target in settings.targets.items():
        targets[name], wrong = _resolved(target, f"targets.{name}")
        mistakes += wrong
    if mistakes:
        raise SettingsError(mistakes)
    log = settings.log.model_copy(update={"kafka": kafka})
    return settings.model_copy(update={"log": log, "web": page, "targets": targets})


def _resolved(section: _S, where: str) -> tuple[_S, list[str]]:
    found: dict[str, SecretStr] = {}
    mistakes: list[str] = []
    for name in type(section).model_fields:
        path = getattr(section, name) if name.endswith("_file") and name != "ca_file" else None
        if path is None:
            continue
        if getattr(section, name.removesuffix("_file")) is not None:
            mistakes.append(f"{where}: give {name.removesuffix('_file')} or {name}, not both")
            continue
        try:
            found[name.removesuffix("_file")] = SecretStr(_secret(Path(path)))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            mistakes.append(f"{where}.{name}: cannot read {path}: {reason}")
    return section.model_copy(update=found), mistakes


def _secret(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_SECRET_BYTES + 1)
    if len(content) > _MAX_SECRET_BYTES:
        raise ValueError("the file is too large for a secret")
    text = content.decode(errors="strict").strip()
    if not text:
        raise ValueError("the file is empty")
    return text


def secrets(settings: Settings) -> Iterator[str]:
    """Every secret value in force, so that logs can cut them out."""
    for section in (settings.log.kafka, settings.web, *settings.targets.values()):
        for name in type(section).model_fields:
            value = getattr(section, name)
            if isinstance(value, SecretStr):
                yield value.get_secret_value()
