"""What a notifier is: it writes a request for a notice and reads the answer. No I/O, no clock, no log."""

import hashlib
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol, runtime_checkable

import orjson
from pydantic import SecretStr

from ...settings import TargetSettings
from ..text import moment

MAX_REASON = 200
_LINKS = (  # where a chat would make a link, mention, tag or command of plain words
    re.compile(r"(?<=\w)(:)(?=//)"),
    re.compile(r"(?<=\w)(\.)(?=[^\W\d_]{2,})"),
    re.compile(r"([@#])(?=\w)"),
    re.compile(r"(?<!\S)(/)(?=\w)"),
)
_BREAK = "\u200b"  # zero-width space: seen by the chat's link finder, not by people


@dataclass(frozen=True, slots=True)
class Notice:
    """One step of an incident, on its way to one target."""

    notice_id: str  # the same for every attempt: the idempotency key
    kind: str  # fired | stepped_up | reminded | cleared | test
    severity: str
    headline: str
    text: str
    at_ms: int  # when it was decided
    sent_ms: int  # when this attempt is made
    facts: Mapping[str, Any] = field(default_factory=dict)  # for machines: rule, scope, usd, …
    is_report: bool = False  # that another target refused the step: no part of the incident's own course
    repeat_of_ms: int | None = None  # when an attempt without a clear answer was made, if this one repeats it
    reply_to: str | None = None  # id of the first message about the incident, where this one can answer it


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is to be sent. Address and headers may carry secrets and do not print."""

    url: SecretStr
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Emission:
    """Text for the console: there is no HTTP in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Header names in lower case; the body may be cut off or empty."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The chat has it."""

    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The chat surely does not have it: try again, not before `after`; `as_reply`: False where it takes no answer to
    the message that it was to answer, and may take it alone."""

    reason: str
    after: timedelta | None = None
    as_reply: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The chat said no, and would again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The chat may have it or not."""

    reason: str
    after: timedelta | None = None


Outcome = Accepted | NotSent | Refused | Unknown


def word(outcome: Outcome) -> Literal["accepted", "not_sent", "refused", "unknown"]:
    """The outcome as it stands in records and metrics."""
    match outcome:
        case Accepted():
            return "accepted"
        case NotSent():
            return "not_sent"
        case Refused():
            return "refused"
        case Unknown():
            return "unknown"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a chat lets through: `burst` at once, then one every `every`."""

    burst: int
    every: timedelta


class Notifier(Protocol):
    """One target's conversation."""

    @property
    def rate(self) -> Rate: ...

    @property
    def key_holds(self) -> timedelta | None:
        """For how long the receiver drops a second copy of the same `notice_id`; None: it does not."""
        ...

    def render(self, notice: Notice) -> HttpRequest | Emission:
        """The request that tells `notice`. Cuts what is too long, never fails."""
        ...

    def judge(self, response: Response) -> Outcome:
        """What the answer means."""
        ...


@runtime_checkable
class Searches(Protocol):
    """A notifier that can look whether a message of unknown fate has arrived."""

    def search(self, notice: Notice) -> HttpRequest:
        """Looks where `notice` would be sent: among the answers to its `reply_to`, or in the chat itself."""
        ...

    def found(self, notice: Notice, response: Response) -> Outcome:
        """Accepted: it is there; NotSent: it is not; Unknown: the answer does not tell; Refused: nor will the next."""
        ...


@runtime_checkable
class Edits(Protocol):
    """A notifier that can write a message anew, which tells nobody."""

    def edit(self, notice: Notice, message_id: str) -> HttpRequest: ...

    def edited(self, response: Response) -> Outcome:
        """What the answer means. Accepted too where the message says so already."""
        ...


@dataclass(frozen=True, slots=True)
class Picture:
    """What follows a message that the chat has taken."""

    png: bytes = field(repr=False)
    title: str
    message_id: str  # of that message
    first_id: str  # of the first message about the incident: the same, or the one that it answers


Upload = Generator[HttpRequest, Response, Outcome]


@runtime_checkable
class TakesPictures(Protocol):
    """A notifier that can let a picture follow a message."""

    def picture(self, picture: Picture) -> Upload:
        """The requests that it takes, one after the other: each is answered by `send`. Returns what came of it."""
        ...


@dataclass(frozen=True, slots=True)
class NotifierKind:
    """A kind of target: found by folder, built from settings. `build` raises ValueError with the remedy."""

    name: str
    docs: str
    build: Callable[[TargetSettings], Notifier]


def place(settings: TargetSettings) -> str:
    """The chat that a target leads to, for the record: its kind and a short hash, which no address can be read from.

    A new token leads to the same chat; a new address of a webhook may not. A private chat of Telegram has the id of
    the user, whichever bot it is with: the bot's own id stands before the colon of its token, and is no secret.
    """
    token = settings.token.get_secret_value() if settings.token is not None and settings.kind == "telegram" else ""
    url = settings.url.get_secret_value() if settings.url is not None else ""
    parts = (
        settings.kind,
        (settings.api_origin or "").rstrip("/"),
        settings.channel or "",
        url,
        token.partition(":")[0],
    )
    return f"{settings.kind}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def seconds(value: object) -> timedelta | None:
    """A wait as a chat writes it: a number of seconds, text or not; None where there is none to be read."""
    try:
        wait = float(value) if isinstance(value, str | int | float) else -1.0
    except ValueError:
        return None
    return timedelta(seconds=min(wait, 86_400.0)) if wait >= 0 else None


def retry_after(response: Response) -> timedelta | None:
    """The header Retry-After, in seconds."""
    return seconds(response.headers.get("retry-after"))


def by_status(response: Response, reason: str = "") -> Outcome:
    """What the status alone says; `reason` is the chat's own word for a refusal."""
    status = response.status
    if 200 <= status < 300:
        return Accepted()
    if status == 429:
        return NotSent("rate limited (429)", retry_after(response))
    if status == 408 or status >= 500:
        return Unknown(f"status {status}", retry_after(response))
    if 300 <= status < 400:
        return Refused(f"status {status}: redirects are not followed")
    return Refused(f"status {status}{f': {reason}' if reason else ''}")


def read_json(response: Response) -> dict[str, Any]:
    """The body as a JSON object; empty where it is none."""
    try:
        value = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form; one with a file name is a file."""

    name: str
    content: bytes
    content_type: str | None = None
    filename: str | None = None


def form(parts: Sequence[Part]) -> tuple[bytes, str]:
    """The parts as multipart/form-data: the body, and its content type."""
    boundary = "liqwatch-" + hashlib.sha256(b"\0".join(part.content for part in parts)).hexdigest()[:32]
    body = bytearray()
    for part in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"'.encode()
        if part.filename is not None:
            body += f'; filename="{part.filename}"'.encode()
        if part.content_type is not None:
            body += f"\r\nContent-Type: {part.content_type}".encode()
        body += b"\r\n\r\n" + part.content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return bytes(body), f"multipart/form-data; boundary={boundary}"


def one_line(text: object) -> str:
    """A chat's own words, fit for a log."""
    return " ".join(str(text).split())[:MAX_REASON]


def unlinked(text: str) -> str:
    """`text` without anything that a chat would turn into a link, mention, tag or command."""
    for pattern in _LINKS:
        text = pattern.sub(rf"\1{_BREAK}", text)
    return text


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units (what chats count), ended with `…` where something had to go."""
    if _units(text) <= limit:
        return text
    kept = text
    while kept and _units(kept) > limit - 1:
        kept = kept[: len(kept) - max(1, (_units(kept) - limit + 1) // 2)]
    return kept + "…"


def repeat_mark(notice: Notice) -> str:
    """The last line of a message that may be there already; empty where it is not a repeat."""
    if notice.repeat_of_ms is None:
        return ""
    return f"(repeat of {moment(notice.repeat_of_ms)}: that sending got no clear answer)"


def escaped_text(notice: Notice, limit: int, escape: Callable[[str], str]) -> str:
    """Text and repeat mark, escaped, within `limit`; only the text is cut, and no escape in two."""
    mark = repeat_mark(notice)
    tail = f"\n{escape(mark)}" if mark else ""
    room = limit - _units(tail)
    text = unlinked(notice.text)
    while _units(escaped := escape(text)) > room and len(text) > 1:
        text = text.removesuffix("…")
        text = text[: len(text) - max(1, (_units(escaped) - room) // 4)] + "…"
    return escaped + tail


def escaped_headline(notice: Notice, limit: int, escape: Callable[[str], str]) -> str:
    """The headline, escaped, within `limit`."""
    room = limit
    while (length := _units(headline := escape(cut(unlinked(notice.headline), room)))) > limit:
        room -= max(1, (length - limit) // 4)
    return headline


def escaped_message(notice: Notice, limit: int, escape: Callable[[str], str], frame: str = "{}") -> str:
    """Headline in its `frame`, text and repeat mark, escaped, within `limit`."""
    head = frame.format(escaped_headline(notice, limit // 4, escape))
    return f"{head}\n{escaped_text(notice, limit - _units(head) - 1, escape)}"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
