"""Structured logs on stderr: JSON for machines, readable lines for a terminal, secrets cut out of both."""

import logging
import sys
from collections.abc import Collection
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from typing_extensions import override

from .settings import LoggingSettings

MASK = "**********"


class Redaction:
    """Replaces every known secret value, wherever in a line it stands."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = tuple(sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True))

    def know(self, secrets: Collection[str]) -> None:
        """Cuts out these as well."""
        self._secrets = Redaction({*self._secrets, *secrets})._secrets

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if self._secrets:
            for key, value in event.items():
                if isinstance(value, str):
                    event[key] = self.clean(value)
                elif value is not None and not isinstance(value, bool | int | float):
                    text = str(value)
                    cleaned = self.clean(text)
                    if cleaned != text:
                        event[key] = cleaned
        return event


def configure(settings: LoggingSettings, secrets: Collection[str] = (), *, level: str | None = None) -> None:
    """Sets up logging for the whole process. `level` overrides the settings' level."""
    redact = Redaction(secrets)
    wanted = settings.format
    as_json = wanted == "json" or (wanted == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ]
        if as_json
        else [structlog.processors.format_exc_info, redact, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = _Stderr(redact)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel((level or settings.level).upper())
    # aiokafka and websockets repeat every failed try; what they mean is logged by us, once down and once up.
    for noisy in ("aiokafka", "websockets", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "aiokafka" else logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact_also(secrets: Collection[str]) -> None:
    """New secrets, after a reload; the old ones stay cut out: a message in hand may still name them."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Stderr):
            handler.redaction.know(secrets)


class _Stderr(logging.StreamHandler[Any]):
    """Looks stderr up at each line, so that a live screen may take its place for a while."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__(sys.stderr)
        self.redaction = redaction

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
