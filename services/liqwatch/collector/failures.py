"""Sorts what goes wrong on the network: a reason for the metric, words for people, how long to wait at least."""

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)

_TURNED_AWAY = 30.0  # seconds; the least wait after an HTTP answer that says no
_LONGEST_WAIT = 3600.0  # whatever Retry-After says
_THROTTLES = frozenset({403, 418, 429})
_CAUSES = {
    403: "geo_block",
    451: "geo_block",
    404: "old_endpoint",
    410: "old_endpoint",
    418: "throttled",
    429: "throttled",
}
_TOO_BIG, _NOT_UTF8 = 1009, 1007
_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ENETUNREACH: "network not reachable",
    errno.EHOSTUNREACH: "host not reachable",
    errno.ETIMEDOUT: "no answer",
    errno.EPIPE: "connection reset",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`reason` is one of `metrics.RECONNECT_REASONS`; `wait` the least number of seconds to the next try.

    `cause`: what a person would look at: dns, refused, tls, proxy, unreachable, geo_block, old_endpoint, throttled,
    server_error, no_websocket, closed; empty where there is no such word.
    """

    reason: str
    detail: str
    wait: float = 0.0
    cause: str = ""


def classify(error: BaseException) -> Failure:
    """What to make of a connection that failed or ended. Nothing that a network does is final."""
    if isinstance(error, ConnectionClosed):
        return _closed(error)
    if isinstance(error, InvalidStatus):
        return turned_away(error.response.status_code, error.response.headers.get("Retry-After"))
    if isinstance(error, aiohttp.ClientResponseError):
        return turned_away(error.status, error.headers.get("Retry-After") if error.headers else None)
    if isinstance(error, ProxyError | aiohttp.ClientProxyConnectionError):
        return Failure("unreachable", f"the proxy does not connect: {_first_line(error)}", cause="proxy")
    if isinstance(error, InvalidURI):
        return Failure("error", f"not a usable address: {_first_line(error)}", _TURNED_AWAY)
    if isinstance(error, InvalidMessage | EOFError):
        return Failure("closed", "closed during the handshake", cause="closed")
    if isinstance(error, InvalidHandshake):
        return Failure("refused", f"no websocket there: {_first_line(error)}", _TURNED_AWAY, "no_websocket")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return Failure("closed", "closed before the answer was complete", cause="closed")
    if isinstance(error, OSError | TimeoutError | asyncio.TimeoutError):
        cause, words = _unreachable(error)
        return Failure("unreachable", words, cause=cause)
    return Failure("error", f"{type(error).__name__}: {_first_line(error)}")


def turned_away(status: int, retry_after: str | None) -> Failure:
    """An HTTP answer that is not a yes."""
    wait = min(_LONGEST_WAIT, max(_TURNED_AWAY, _seconds(retry_after)))
    cause = _CAUSES.get(status, "server_error" if status >= 500 else "")
    if status in _THROTTLES:
        words = f"turned away with HTTP {status} (too many requests, or not allowed here)"
        return Failure("throttled", words, wait, cause)
    if status == 451:
        return Failure("refused", "turned away with HTTP 451 (not available from this place)", wait, cause)
    return Failure("refused", f"answered HTTP {status}", wait if status < 500 else _seconds(retry_after), cause)


def _closed(error: ConnectionClosed) -> Failure:
    sent, received = error.sent, error.rcvd
    if sent is not None and not error.rcvd_then_sent:
        if "keepalive" in sent.reason:
            return Failure("silent", "no answer to pings")
        if sent.code == _TOO_BIG:
            return Failure("rejected_frames", "a frame larger than 16 MiB")
        if sent.code == _NOT_UTF8:
            return Failure("rejected_frames", "a text frame that is not UTF-8")
        if received is None:
            return Failure("closed", f"broke the protocol: {sent.reason or sent.code}")
    if received is not None:
        reason = f", {received.reason[:120]!r}" if received.reason else ""
        return Failure("closed", f"closed by the venue (code {int(received.code)}{reason})")
    return Failure("closed", "cut off without a goodbye")


def _unreachable(error: BaseException) -> tuple[str, str]:
    """Cause and words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "tls", f"certificate not accepted: {_first_line(error)}"
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, socket.gaierror | aiohttp.ClientConnectorDNSError):
        return "dns", "name not resolved"
    if isinstance(inner, ssl.SSLError):
        return "tls", f"TLS failed: {inner.reason or _first_line(inner)}"
    if isinstance(inner, TimeoutError) and not inner.errno:
        return "unreachable", "no answer in time"
    number = inner.errno if isinstance(inner, OSError) else None
    if number not in _WORDS:  # several addresses tried at once give one error without a number
        text = str(inner)
        number = next((known for known in _WORDS if f"[Errno {known}]" in text), None)
    if number is None:
        return "unreachable", _first_line(inner)
    return "refused" if number == errno.ECONNREFUSED else "unreachable", _WORDS[number]


def _seconds(retry_after: str | None) -> float:
    """Retry-After as seconds: a number or an HTTP date."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
