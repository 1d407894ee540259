"""What every Kafka client here shares: how to connect, what went wrong in words, and an end within a time limit.

Only the `kafka*` modules of this package import aiokafka. It ships no types, hence the `Any`s at its edge.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka import errors

from ..settings import KafkaSettings
from . import LogClosed, LogError, LogUnavailable, RecordRefused

T = TypeVar("T")
REQUEST_SECONDS = 10.0
_REFUSALS = (
    errors.InvalidTimestampError,  # Kafka 4 takes none from more than an hour ahead
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.PolicyViolationError,
)
CALL_SECONDS = 5.0  # for what is asked in passing: offsets, configurations


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are and who we are to them. `options` go to every client; it holds the password."""

    servers: str
    options: dict[str, Any] = field(repr=False)

    def in_words(self, error: BaseException) -> LogError:
        """What happened and what to do. `LogUnavailable` where the same call may work later."""
        if isinstance(error, LogError):
            return error
        name = type(error).__name__
        if isinstance(error, errors.TopicAuthorizationFailedError | errors.GroupAuthorizationFailedError):
            return LogError(f"Kafka at {self.servers} does not allow this ({error}); grant this user the right")
        if isinstance(error, _REFUSALS):
            return RecordRefused(f"Kafka at {self.servers} refuses a record ({name}: {error}); it would do so again")
        if isinstance(error, errors.ConsumerStoppedError | errors.ProducerClosed):
            return LogUnavailable("the connection to Kafka is being replaced; the same call works in a moment")
        if isinstance(error, errors.KafkaConnectionError | OSError | TimeoutError | errors.KafkaTimeoutError):
            return LogUnavailable(
                f"Kafka at {self.servers} does not answer; "
                "check that it runs, log.kafka.bootstrap_servers and the login"
            )
        return LogUnavailable(f"Kafka at {self.servers} answers with an error ({name}: {error}); trying again helps")

    async def call(self, work: Callable[[], Awaitable[T]], seconds: float = CALL_SECONDS) -> T:
        """Runs `work` within `seconds`; its failures become `LogError`s."""
        try:
            async with asyncio.timeout(seconds):
                return await work()
        except LogError:
            raise
        except (errors.KafkaError, errors.ConsumerStoppedError, OSError, TimeoutError) as error:
            raise self.in_words(error) from error


def connection(settings: KafkaSettings) -> Connection:
    """From the settings, their secrets already resolved. Raises `LogError` for a certificate that cannot be read."""
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in settings.bootstrap_servers.split(",")],
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(REQUEST_SECONDS * 1000),
        "metadata_max_age_ms": 60_000,
    }
    if settings.security_protocol.endswith("SSL"):
        try:
            options["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise LogError(f"kafka.ca_file {settings.ca_file}: cannot be used ({error})") from error
    if settings.security_protocol.startswith("SASL"):
        if settings.sasl_username is None or settings.sasl_password is None:
            raise LogError(
                f"kafka.security_protocol {settings.security_protocol} needs kafka.sasl_username and "
                f"kafka.sasl_password (or sasl_password_file)"
            )
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return Connection(settings.bootstrap_servers, options)


async def end(stop: Callable[[], Awaitable[None]], client: Any, owners: Sequence[Any], timeout: float) -> None:
    """Ends an aiokafka client within about `timeout` seconds and leaves no task behind.

    Its own `stop` cannot be trusted with that: during an outage the producer's waits for ever for what it still
    has to send, and the consumer's lets a CancelledError through to the caller. `client` is its AIOKafkaClient,
    `owners` the objects whose methods run as its background tasks.
    """
    task = asyncio.create_task(_swallow(stop))
    await asyncio.wait({task}, timeout=timeout)
    task.cancel()
    for _ in range(20):
        left = [task] if not task.done() else []
        left += [other for other in asyncio.all_tasks() if not other.done() and _belongs(other, [client, *owners])]
        if not left:
            break
        for other in left:
            other.cancel()
        await asyncio.wait(left, timeout=0.1)
    for link in list(client._conns.values()):
        link.close()


async def _swallow(stop: Callable[[], Awaitable[None]]) -> None:
    try:
        await stop()
    except (asyncio.CancelledError, Exception) as error:
        logging.getLogger(__name__).debug("a client ended with %r", error)


def _belongs(task: "asyncio.Task[Any]", owners: Sequence[Any]) -> bool:
    frame = getattr(task.get_coro(), "cr_frame", None)
    owner = None if frame is None else frame.f_locals.get("self")
    return owner is not None and any(owner is known for known in owners)


def closed(what: str) -> LogClosed:
    return LogClosed(f"this {what} was closed")
