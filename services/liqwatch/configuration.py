"""Finds and reads the settings: the TOML file, the environment, and the files that hold secrets or templates."""

import contextlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from . import venues
from .addresses import unusable
from .settings import Settings, SettingsError, TargetSettings, TemplateSettings, load

_PACKAGED = Path(__file__).with_name("liqwatch.toml")
_CHECKOUT = Path(__file__).resolve().parents[2] / "deploy" / "liqwatch.toml"
_MAX_SECRET_BYTES = 64 * 1024
_MAX_TEMPLATE_BYTES = 64 * 1024
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

    Without `resolve_secrets` the files that hold secrets or templates need not be there: for who sends nothing.
    """
    environment = os.environ if environment is None else environment
    path = path or default_path(environment)
    table = _table(path) if path else {}
    folder = path.parent if path else Path()
    try:
        settings = load(table, environment, venues.names())
    except SettingsError as error:  # what can be read of the templates is checked all the same
        _, mistakes = _with_texts(_readable_templates(table), folder)
        raise SettingsError(error.mistakes + mistakes) from None
    if not resolve_secrets:
        return settings
    templates, mistakes = _with_texts(settings.templates, folder)
    settings = settings.model_copy(update={"templates": templates})
    try:
        settings = _with_secrets(settings)
    except SettingsError as error:
        mistakes = error.mistakes + mistakes
    if mistakes:
        raise SettingsError(mistakes)
    return settings


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
        mistakes += wrong or _unusable(targets[name], f"targets.{name}")
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


def _unusable(target: TargetSettings, where: str) -> list[str]:
    """What is wrong with the addresses and tokens that came from files; those in the settings are checked with them."""
    if not target.enabled:
        return []
    read = {name: getattr(target, name) for name in ("url", "token") if getattr(target, f"{name}_file") is not None}
    values = {name: value.get_secret_value() for name, value in read.items() if value is not None}
    found = unusable(target.kind, values, allow_private=target.allow_private)
    return [f"{where}.{name}_file: {wrong}" for name, wrong in found]


def _with_texts(
    templates: Mapping[str, TemplateSettings], folder: Path
) -> tuple[dict[str, TemplateSettings], list[str]]:
    """The templates with what their files hold, and what is wrong with them."""
    found: dict[str, TemplateSettings] = {}
    mistakes: list[str] = []
    for name, template in templates.items():
        where = f"templates.{name}"
        text = template.text
        if template.file is not None:
            try:
                text = _template(folder / template.file)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                mistakes.append(f"{where}.file: cannot read {folder / template.file}: {reason}")
        if text is not None:
            from .alerter import templates as engine  # noqa: PLC0415 - only for who has templates of their own

            mistakes += [f"{where}: {mistake}" for mistake in engine.mistakes(text)]
            found[name] = template.model_copy(update={"text": text})
    return found, mistakes


def _readable_templates(table: Mapping[str, Any]) -> dict[str, TemplateSettings]:
    rows = table.get("templates")
    found = {}
    for name, row in rows.items() if isinstance(rows, Mapping) else ():
        with contextlib.suppress(ValidationError):  # told by whoever reads the settings as a whole
            found[name] = TemplateSettings.model_validate(row)
    return found


def _template(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_TEMPLATE_BYTES + 1)
    if len(content) > _MAX_TEMPLATE_BYTES:
        raise ValueError("the file is too large for a template")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


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
