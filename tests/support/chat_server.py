"""A local chat that speaks Slack, Telegram, Discord and webhook, and misbehaves when told to.

`faults` are taken one per message, in order; when they run out, messages are accepted. What was accepted is in
`accepted`, whatever the sender was told about it.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import orjson
from aiohttp import web
from pydantic import SecretStr

from liqwatch.settings import TargetSettings

FaultKind = Literal["limited", "status", "silent", "reset", "reset_before", "slow", "garbled"]


@dataclass(frozen=True, slots=True)
class Fault:
    """limited: 429 with `seconds` to wait. status: answers `code`. silent: accepts and never answers.
    reset: accepts, then resets the connection. reset_before: resets without accepting. slow: accepts, answers
    after `seconds`. garbled: accepts and answers rubbish."""

    kind: FaultKind
    code: int = 500
    seconds: float = 0.0


LIMITED = Fault("limited", seconds=0.05)


@dataclass(frozen=True, slots=True)
class Message:
    """One message that the chat keeps."""

    path: str
    text: str
    body: dict[str, Any]
    headers: dict[str, str]
    raw: bytes
    at: float  # seconds of the loop


@dataclass
class ChatServer:
    """`async with ChatServer() as chat:` then `chat.target("slack")` for settings that lead here."""

    faults: list[Fault] = field(default_factory=list)
    accepted: list[Message] = field(default_factory=list)
    edits: list[dict[str, Any]] = field(default_factory=list)  # bodies, with the path
    edit_seconds: float = 0.0  # that an edit takes
    edit_faults: list[Fault] = field(default_factory=list)  # one per edit: limited, status, silent, reset
    edit_tries: list[float] = field(default_factory=list)  # when edits were asked for, seconds of the loop
    pictures: list[dict[str, Any]] = field(default_factory=list)  # their fields, with the path and the bytes
    picture_faults: list[Fault] = field(default_factory=list)  # one per request that a picture takes
    picture_tries: int = 0
    lonely: bool | Literal["always"] = False  # takes no answers to a message; always: says so of every message
    requests: int = 0
    search_seconds: float = 0.0  # that a look at the history takes
    searches: int = 0
    repeats: int = 0  # second copies of a key, which it drops
    dead: bool = False  # every message gets status 500 without being accepted
    host: str = "127.0.0.1"
    port: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _keys: dict[str, int] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def listen(self) -> None:
        """Takes messages, after `hang_up` on the same port again."""
        self._ending = asyncio.Event()
        app = web.Application()
        app.router.add_post("/slack/api/conversations.history", self._history)
        app.router.add_post("/slack/api/conversations.replies", self._history)
        app.router.add_post("/slack/api/chat.update", self._edit)
        app.router.add_post("/slack/api/files.getUploadURLExternal", self._slack_place)
        app.router.add_post("/slack/upload/{file}", self._slack_upload)
        app.router.add_post("/slack/api/files.completeUploadExternal", self._slack_file)
        app.router.add_post("/telegram/{bot}/sendPhoto", self._photo)
        app.router.add_post("/telegram/{bot}/editMessageText", self._edit)
        app.router.add_patch("/{path:.*}", self._edit)
        app.router.add_post("/{path:.*}", self._message)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    async def hang_up(self) -> None:
        """Every connection is refused from now on."""
        self._ending.set()
        assert self._runner is not None
        await self._runner.cleanup()

    def target(self, kind: str, **changes: Any) -> TargetSettings:
        """Settings of a target that is this chat; `slack-bot` and `discord-bot` are the bots."""
        base = f"http://{self.host}:{self.port}"
        fields: dict[str, dict[str, Any]] = {
            "slack": {"url": SecretStr(f"{base}/slack/hook/T0/B0/secret-part")},
            "slack-bot": {"token": SecretStr("xoxb-secret"), "channel": "C1", "api_origin": f"{base}/slack"},
            "telegram": {"token": SecretStr("1:secret"), "channel": "42", "api_origin": f"{base}/telegram"},
            "discord": {"url": SecretStr(f"{base}/discord/hook/1/secret-part")},
            "discord-bot": {"token": SecretStr("secret"), "channel": "7", "api_origin": f"{base}/discord"},
            "pagerduty": {"token": SecretStr("secret"), "api_origin": f"{base}/pagerduty"},
            "webhook": {"url": SecretStr(f"{base}/hook?token=secret"), "secret": SecretStr("signing-secret")},
        }
        common = {"kind": kind.removesuffix("-bot"), "allow_private": True, "timeout": "10s"}
        return TargetSettings.model_validate(common | fields[kind] | changes)

    def texts(self) -> list[str]:
        """What the chat shows, in the order it came."""
        return [message.text for message in self.accepted]

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[Message]:
        """The accepted messages, once there are `count`. Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: len(self.accepted) >= count)
        return self.accepted

    async def wait_for_requests(self, count: int, timeout: float = 10.0) -> None:
        """Returns once so many messages have been tried. Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: self.requests >= count)

    async def _edit(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.edit_tries.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.edit_seconds)
        if self.edit_faults and (answer := await self._met(request, self.edit_faults.pop(0))) is not None:
            return answer
        self.edits.append({"path": request.path, **orjson.loads(raw)})
        return web.json_response({"ok": True, "ts": "1.1", "id": "1", "result": {"message_id": 1}})

    async def _met(self, request: web.Request, fault: Fault) -> web.Response | None:
        service = request.path.split("/")[1]
        match fault.kind:
            case "limited":
                return _limited(service, fault.seconds)
            case "status":
                return web.json_response(_refusal(service, fault.code), status=fault.code)
            case "silent":
                await self._ending.wait()
            case "slow":
                await asyncio.sleep(fault.seconds)
            case _:
                return self._reset(request)
        return None

    async def _picture_fault(self, request: web.Request) -> web.Response | None:
        self.picture_tries += 1
        return await self._met(request, self.picture_faults.pop(0)) if self.picture_faults else None

    async def _slack_place(self, request: web.Request) -> web.Response:
        if (answer := await self._picture_fault(request)) is not None:
            return answer
        fields = await request.post()
        number = len(self.pictures)
        self.pictures.append({"path": request.path, **{key: str(value) for key, value in fields.items()}})
        url = f"http://{self.host}:{self.port}/slack/upload/F{number}"
        return web.json_response({"ok": True, "upload_url": url, "file_id": f"F{number}"})

    async def _slack_upload(self, request: web.Request) -> web.Response:
        if (answer := await self._picture_fault(request)) is not None:
            return answer
        self.pictures[int(request.match_info["file"][1:])]["png"] = await request.read()
        return web.Response(text="OK")

    async def _slack_file(self, request: web.Request) -> web.Response:
        if (answer := await self._picture_fault(request)) is not None:
            return answer
        body = orjson.loads(await request.read())
        (file,) = body["files"]
        async with self._changed:
            self.pictures[int(file["id"][1:])] |= body
            self._changed.notify_all()
        return web.json_response({"ok": True, "files": body["files"]})

    async def _photo(self, request: web.Request) -> web.Response:
        if (answer := await self._picture_fault(request)) is not None:
            return answer
        await self._keep_picture(request, "photo")
        return web.json_response({"ok": True, "result": {"message_id": 1000 + len(self.pictures)}})

    async def _keep_picture(self, request: web.Request, file: str) -> None:
        fields = await request.post()
        kept: dict[str, Any] = {"path": request.path_qs}
        for key, value in fields.items():
            if isinstance(value, web.FileField):
                kept |= {"filename": value.filename, "content_type": value.content_type, "png": value.file.read()}
                assert key == file
            else:
                kept[key] = bytes(value).decode() if isinstance(value, bytes | bytearray) else str(value)
        async with self._changed:
            self.pictures.append(kept)
            self._changed.notify_all()

    async def wait_for_pictures(self, count: int, timeout: float = 10.0) -> list[dict[str, Any]]:
        """The pictures that can be seen, once there are `count`. Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: sum("png" in one for one in self.pictures) >= count)
        return self.pictures

    def fail(self, faults: Iterable[Fault]) -> None:
        """The next messages meet these."""
        self.faults.extend(faults)

    async def _message(self, request: web.Request) -> web.StreamResponse:
        service = request.path.split("/")[1]
        if request.content_type == "multipart/form-data":  # Discord: a message that is a picture
            if (answer := await self._picture_fault(request)) is not None:
                return answer
            await self._keep_picture(request, "files[0]")
            return _accepted(service, request.path, 1000 + len(self.pictures))
        raw = await request.read()
        async with self._changed:
            self.requests += 1
            self._changed.notify_all()
        if self.dead:
            return web.Response(status=500)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and fault.kind == "limited":
            return _limited(service, fault.seconds)
        if fault is not None and fault.kind == "status":
            return web.json_response(_refusal(service, fault.code), status=fault.code)
        if fault is not None and fault.kind == "reset_before":
            return self._reset(request)
        if self.lonely == "always" or (self.lonely and (orjson.loads(raw).keys() & {"thread_ts", "message_reference"})):
            return web.json_response(_no_answers(service), status=200 if service == "slack" else 403)
        number = await self._accept(request, raw)
        if fault is not None:
            match fault.kind:
                case "reset":
                    return self._reset(request)
                case "silent":
                    await self._ending.wait()
                case "slow":
                    await asyncio.sleep(fault.seconds)
                case "garbled":
                    return web.Response(text="<html>gateway</html>")
                case _:
                    pass  # met before accepting
        return _accepted(service, request.path, number)

    async def _accept(self, request: web.Request, raw: bytes) -> int:
        body = orjson.loads(raw)
        nonce = body.get("nonce") if body.get("enforce_nonce") else None
        key = request.headers.get("Idempotency-Key") or nonce
        async with self._changed:
            if key is not None and key in self._keys:
                self.repeats += 1
                return self._keys[key]
            text = body.get("text") or body.get("content") or ""
            self.accepted.append(
                Message(request.path, text, body, dict(request.headers), raw, asyncio.get_running_loop().time())
            )
            if key is not None:
                self._keys[key] = len(self.accepted)
            self._changed.notify_all()
            return len(self.accepted)

    @staticmethod
    def _reset(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _history(self, request: web.Request) -> web.Response:
        self.searches += 1
        await asyncio.sleep(self.search_seconds)
        thread = (await request.post()).get("ts")
        rows = [
            {"ts": f"{number}.0", "text": message.text, "metadata": message.body.get("metadata")}
            for number, message in enumerate(self.accepted, start=1)
            if message.path.endswith("chat.postMessage")
            and (thread is None or thread in (f"{number}.0", message.body.get("thread_ts")))
        ]
        return web.json_response({"ok": True, "messages": rows[::-1], "has_more": False})


def _limited(service: str, seconds: float) -> web.Response:
    match service:
        case "telegram":
            body: dict[str, Any] = {
                "ok": False,
                "error_code": 429,
                "description": f"Too Many Requests: retry after {seconds:g}",
                "parameters": {"retry_after": seconds},
            }
        case "discord":
            body = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
        case "slack":
            return web.Response(
                status=429, text='{"ok":false,"error":"ratelimited"}', headers={"Retry-After": f"{seconds:g}"}
            )
        case _:
            return web.Response(status=429, headers={"Retry-After": f"{seconds:g}"})
    return web.json_response(body, status=429)


def _refusal(service: str, code: int) -> dict[str, Any]:
    match service:
        case "telegram":
            return {"ok": False, "error_code": code, "description": "Bad Request: chat not found"}
        case "discord":
            return {"message": "Unknown Channel", "code": 10003}
        case _:
            return {"ok": False, "error": "channel_not_found"}


def _no_answers(service: str) -> dict[str, Any]:
    if service == "slack":
        return {"ok": False, "error": "cannot_reply_to_message"}
    return {"message": "Cannot reply without permission to read message history", "code": 160002}


def _accepted(service: str, path: str, number: int) -> web.Response:
    match service:
        case "telegram":
            return web.json_response({"ok": True, "result": {"message_id": number}})
        case "discord":
            return web.json_response({"id": str(number), "channel_id": "7"})
        case "pagerduty":
            return web.json_response({"status": "success", "dedup_key": f"key {number}"})
        case "slack" if path.endswith("chat.postMessage"):
            return web.json_response({"ok": True, "channel": "C1", "ts": f"{number}.0"})
        case _:
            return web.Response(text="ok")
