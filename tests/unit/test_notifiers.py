"""Every notifier against its recording, and what no name in a text may ever do to a chat."""

import hashlib
import hmac
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from liqwatch.alerter.notifiers import discover
from liqwatch.alerter.notifiers.base import (
    Accepted,
    Edits,
    Emission,
    HttpRequest,
    Notice,
    Notifier,
    NotSent,
    Outcome,
    Picture,
    Refused,
    Response,
    TakesPictures,
    Unknown,
    place,
)
from liqwatch.alerter.notifiers.slack import SlackBot
from liqwatch.settings import TargetSettings

RECORDINGS = Path(__file__).parents[1] / "data" / "notifiers"
KINDS = discover()
AT_MS = 1_763_999_999_000
CHATS = ["slack", "slack-bot", "telegram", "discord", "discord-bot"]


def notice(**changes: Any) -> Notice:
    fields: dict[str, Any] = {
        "notice_id": "longs:all:1:2",
        "kind": "fired",
        "severity": "critical",
        "headline": "H",
        "text": "T",
        "at_ms": AT_MS,
        "sent_ms": AT_MS + 1000,
        "facts": {"rule": "longs"},
    }
    return Notice(**fields | changes)


def recordings() -> list[Any]:
    found = []
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        head, *cases = (orjson.loads(line) for line in path.read_bytes().splitlines())
        for case in cases:
            settings = TargetSettings.model_validate(head["settings"][case["settings"]])
            found.append(pytest.param(settings, case, id=f"{path.stem}: {case['case']}"))
    return found


def shown(outcome: Outcome) -> list[Any]:
    match outcome:
        case Accepted(message_id):
            return ["accepted", message_id]
        case NotSent(_, after):
            return ["not_sent", after.total_seconds() if after is not None else None]
        case Refused(reason):
            return ["refused", reason]
        case Unknown(reason):
            return ["unknown", reason]


def built(name: str, **changes: Any) -> Notifier:
    fields: dict[str, dict[str, Any]] = {
        "slack": {"url": SecretStr("https://hooks.example/hush")},
        "slack-bot": {"token": SecretStr("hush"), "channel": "C1"},
        "telegram": {"token": SecretStr("hush"), "channel": "1"},
        "discord": {"url": SecretStr("https://hooks.example/hush")},
        "discord-bot": {"token": SecretStr("hush"), "channel": "1"},
        "webhook": {"url": SecretStr("https://desk.example/hush"), "secret": SecretStr("hush")},
    }
    kind = name.removesuffix("-bot")
    return KINDS[kind].build(TargetSettings.model_validate({"kind": kind} | fields[name] | changes))


def rendered(name: str, made: Notice) -> dict[str, Any]:
    request = built(name).render(made)
    assert isinstance(request, HttpRequest)
    body = orjson.loads(request.body)
    assert isinstance(body, dict)
    return body


def words(name: str, body: dict[str, Any]) -> list[str]:
    """Everything that the chat would show."""
    if name.startswith("slack"):
        return [body["text"], *(block["text"]["text"] for block in body["blocks"])]
    return [body.get("content") or body["text"]]


@pytest.mark.parametrize(("settings", "case"), recordings())
def test_recording(settings: TargetSettings, case: dict[str, Any]) -> None:
    notifier = KINDS[settings.kind].build(settings)
    if "response" in case:
        recorded = case["response"]
        body = recorded["body"]
        raw = body.encode() if isinstance(body, str) else orjson.dumps(body)
        response = Response(recorded["status"], recorded.get("headers", {}), raw)
        assert case["outcome"] == shown(notifier.judge(response))
        return
    request = notifier.render(notice(**case["notice"]))
    if isinstance(request, Emission):
        assert case["emission"] == request.text
        return
    expected = case["request"]
    nonce = expected["body"].get("nonce", "") if isinstance(expected["body"], dict) else ""
    if nonce.startswith("$sha256:"):
        expected["body"]["nonce"] = hashlib.sha256(nonce.removeprefix("$sha256:").encode()).hexdigest()[:25]
    assert expected["body"] == orjson.loads(request.body)
    assert expected.get("url", request.url.get_secret_value()) == request.url.get_secret_value()
    assert expected.get("headers", request.headers) == request.headers


def test_every_notifier_has_a_recording() -> None:
    assert sorted(KINDS) == sorted(path.stem for path in RECORDINGS.glob("*.jsonl"))


@pytest.mark.parametrize("name", [*CHATS, "webhook"])
def test_a_request_does_not_print_its_secrets(name: str) -> None:
    notifier = built(name)
    assert "hush" not in repr(notifier.render(notice())) + repr(notifier)


LIMITS = {"telegram": 4096, "discord": 2000, "discord-bot": 2000}
NASTY = ["a", "<", "&", "_", "\\", "😀", "é", "\n", "@", "."]


@pytest.mark.parametrize("name", CHATS)
@given(
    headline=st.text(st.sampled_from(NASTY), max_size=400),
    text=st.text(st.sampled_from(NASTY), max_size=6000),
)
def test_a_long_message_is_cut_never_refused(name: str, headline: str, text: str) -> None:
    body = rendered(name, notice(headline=headline, text=text, repeat_of_ms=AT_MS))
    limits = [3000, 150, 3000] if name.startswith("slack") else [LIMITS[name]]
    for shown_text, limit in zip(words(name, body), limits, strict=True):
        assert len(shown_text.encode("utf-16-le")) // 2 <= limit
    assert "repeat of" in words(name, body)[0].replace("\\", "")


@pytest.mark.parametrize("name", CHATS)
def test_a_cut_shows_and_splits_no_escape(name: str) -> None:
    text = words(name, rendered(name, notice(text="&_" * 5000)))[-1]
    kept = text.removesuffix("…")
    assert kept != text
    assert kept.endswith(("\\_", "_", "&amp;", "&"))


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize(
    "hostile", ["@everyone", "<!channel>", "<@U1>", "<i>", "http://evil.com", "evil.com", "/start", "#tag", "t.me/x"]
)
def test_no_name_becomes_markup_mention_or_link(name: str, hostile: str) -> None:
    body = rendered(name, notice(headline=hostile, text=f"Largest order: {hostile} long"))
    for shown_text in words(name, body):
        assert hostile not in shown_text
    if name.startswith("discord"):
        assert {"parse": []} == body["allowed_mentions"]


@pytest.mark.parametrize("name", CHATS)
def test_amounts_and_symbols_stay_as_they_are(name: str) -> None:
    plain = "Longs $1.71B (95.2 %), Bybit BTC-USDT, XBT/USD at 2026-01-30 04:43:10 UTC."
    assert plain in words(name, rendered(name, notice(text=plain)))[0].replace("\\", "")


def test_a_webhook_repeats_key_and_body_and_signs_the_time_anew() -> None:
    first, second = (
        built("webhook").render(notice(sent_ms=sent, repeat_of_ms=repeat))
        for sent, repeat in ((AT_MS, None), (AT_MS + 60_000, AT_MS))
    )
    assert isinstance(first, HttpRequest) and isinstance(second, HttpRequest)
    assert (first.body, first.headers["Idempotency-Key"]) == (second.body, second.headers["Idempotency-Key"])
    signed = second.headers["X-Liqwatch-Timestamp"].encode() + b"." + second.body
    expected = "v1=" + hmac.new(b"hush", signed, hashlib.sha256).hexdigest()
    assert expected == second.headers["X-Liqwatch-Signature"] != first.headers["X-Liqwatch-Signature"]


def test_a_discord_nonce_is_the_same_for_a_retry_and_another_for_a_marked_repeat() -> None:
    made = [rendered("discord-bot", notice(repeat_of_ms=repeat))["nonce"] for repeat in (None, None, AT_MS)]
    assert made[0] == made[1] != made[2]
    assert 25 == len(made[0])


def history(*rows: dict[str, Any], **more: Any) -> Response:
    return Response(200, {}, orjson.dumps({"ok": True, "messages": list(rows)} | more))


MINE = {"ts": "5.1", "metadata": {"event_type": "liqwatch_alert", "event_payload": {"notice_id": "longs:all:1:2"}}}
OTHER = {"ts": "5.0", "text": "hello"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (history(OTHER, MINE), ["accepted", "5.1"]),
        (history(OTHER), ["not_sent", None]),
        (history(OTHER, has_more=True), ["refused", "more messages than could be looked through"]),
        (Response(200, {}, b'{"ok":false,"error":"missing_scope"}'), ["refused", "missing_scope"]),
        (Response(200, {}, b'{"ok":false,"error":"thread_not_found"}'), ["refused", "thread_not_found"]),
        (Response(200, {}, b'{"ok":false,"error":"ratelimited"}'), ["unknown", "ratelimited"]),
        (Response(200, {}, b'{"ok":false,"error":"internal_error"}'), ["unknown", "internal_error"]),
        (Response(200, {}, b"<html>gateway</html>"), ["unknown", "status 200"]),
        (Response(429, {"retry-after": "3"}, b""), ["unknown", "status 429"]),
    ],
)
def test_a_slack_bot_looks_for_its_message(answer: Response, expected: list[Any]) -> None:
    bot = built("slack-bot")
    assert isinstance(bot, SlackBot)
    assert expected == shown(bot.found(notice(), answer))
    assert b"include_all_metadata=true" in bot.search(notice()).body


def test_a_slack_bot_looks_for_an_answer_in_its_thread() -> None:
    bot = built("slack-bot")
    assert isinstance(bot, SlackBot)
    request = bot.search(notice(reply_to="5.0"))
    assert "https://slack.com/api/conversations.replies" == request.url.get_secret_value()
    assert b"&ts=5.0" in request.body


def test_nothing_stands_in_a_thread_that_is_gone() -> None:
    bot = built("slack-bot")
    assert isinstance(bot, SlackBot)
    gone = Response(200, {}, b'{"ok":false,"error":"thread_not_found"}')
    assert ["not_sent", None] == shown(bot.found(notice(reply_to="5.0"), gone))


BOT = {"kind": "telegram", "token": "1:hush", "channel": "42"}
HOOK = {"kind": "discord", "url": "https://desk.example/hush"}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (BOT, BOT | {"token": "1:other", "timeout": "3s"}, True),
        (BOT, BOT | {"token": "2:hush"}, False),  # a private chat with another bot has the same id
        (BOT, BOT | {"channel": "43"}, False),
        (BOT, BOT | {"kind": "slack"}, False),
        (BOT, BOT | {"api_origin": "https://proxy.example"}, False),
        (BOT | {"kind": "slack"}, BOT | {"kind": "slack", "token": "2:hush"}, True),
        (HOOK, HOOK | {"url": "https://desk.example/hush2"}, False),
    ],
)
def test_a_place_is_the_chat_and_no_secret(one: dict[str, Any], other: dict[str, Any], is_same: bool) -> None:
    places = [place(TargetSettings.model_validate(fields)) for fields in (one, other)]
    assert is_same is (places[0] == places[1])
    assert not any(word in made for made in places for word in ("hush", "desk", "proxy"))


PICTURE = Picture(b"png", "T", "2", "1")
TAKING = ["discord", "discord-bot", "slack-bot", "telegram"]


@pytest.mark.parametrize("name", sorted([*CHATS, "webhook"]))
def test_a_picture_is_for_those_that_take_one(name: str) -> None:
    assert (name in TAKING) is isinstance(built(name), TakesPictures)


@pytest.mark.parametrize("name", TAKING)
def test_a_request_of_a_picture_does_not_print_its_secrets(name: str) -> None:
    notifier = built(name)
    assert isinstance(notifier, TakesPictures)
    assert "hush" not in repr(next(notifier.picture(PICTURE)))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([b'{"ok":false,"error":"missing_scope"}'], ["refused", "missing_scope"]),
        ([b'{"ok":false,"error":"ratelimited"}'], ["not_sent", None]),
        ([b'{"ok":true,"upload_url":7}'], ["unknown", "an answer that is not Slack's"]),
        (
            [b'{"ok":true,"upload_url":"https://files.example/u","file_id":"F"}', b"OK", b'{"ok":false,"error":"x"}'],
            ["refused", "x"],
        ),
        (
            [b'{"ok":true,"upload_url":"https://files.example/u","file_id":"F"}', b"OK", b'{"ok":true,"files":[]}'],
            ["accepted", None],
        ),
    ],
)
def test_an_upload_to_slack_goes_on_only_where_it_can(answers: list[bytes], expected: list[Any]) -> None:
    bot = built("slack-bot")
    assert isinstance(bot, TakesPictures)
    upload = bot.picture(PICTURE)
    next(upload)
    with pytest.raises(StopIteration) as end:
        for answer in answers:
            upload.send(Response(200, {}, answer))
    assert expected == shown(end.value.value)


def test_the_token_of_slack_is_not_sent_to_where_the_file_goes() -> None:
    bot = built("slack-bot")
    assert isinstance(bot, TakesPictures)
    upload = bot.picture(PICTURE)
    next(upload)
    request = upload.send(Response(200, {}, b'{"ok":true,"upload_url":"https://files.example/u","file_id":"F"}'))
    assert (b"png", {"Content-Type": "application/octet-stream"}) == (request.body, request.headers)


def test_a_group_of_telegram_is_told_more_slowly() -> None:
    assert [timedelta(seconds=1), timedelta(seconds=3)] == [
        built("telegram", channel=channel).rate.every for channel in ("42", "-100")
    ]


@pytest.mark.parametrize("kind", ["slack", "telegram", "discord", "webhook"])
def test_a_target_without_its_keys_cannot_be_built(kind: str) -> None:
    settings = TargetSettings.model_validate({"kind": kind, "enabled": False})
    with pytest.raises(ValueError, match="needs"):
        KINDS[kind].build(settings)


@given(st.text(max_size=60))
def test_teams_gets_nothing_but_runs_of_text(words: str) -> None:
    notifier = KINDS["teams"].build(TargetSettings(kind="teams", url=SecretStr("https://flow.example/hush")))
    request = notifier.render(notice(headline=f"H {words}", text=f"T {words} https://evil.example <at>x</at>"))
    assert isinstance(request, HttpRequest)
    card = orjson.loads(request.body)["attachments"][0]["content"]
    assert {"$schema", "type", "version", "msteams", "body"} == set(card)
    assert {"width": "Full"} == card["msteams"]  # no entities: a mention needs one
    for block in card["body"]:
        (run,) = block["inlines"]
        assert ("RichTextBlock", "TextRun") == (block["type"], run["type"])
        assert set(run) <= {"type", "text", "weight", "color"}
        assert "://" not in run["text"]


@pytest.mark.parametrize(("kind", "text"), [("teams", "T" * 50_000), ("pagerduty", "T" * 900_000)])
def test_what_is_too_long_is_cut_to_what_the_service_takes(kind: str, text: str) -> None:
    fields = {"teams": {"url": SecretStr("https://a.example/x")}, "pagerduty": {"token": SecretStr("t")}}[kind]
    request = (
        KINDS[kind]
        .build(TargetSettings.model_validate({"kind": kind} | fields))
        .render(notice(headline="\U0001f4a5" * 5000, text=text))
    )
    assert isinstance(request, HttpRequest)
    assert len(request.body) < {"teams": 21_000, "pagerduty": 512_000}[kind]


def test_a_long_incident_id_is_a_key_that_pagerduty_takes() -> None:
    pager = KINDS["pagerduty"].build(TargetSettings(kind="pagerduty", token=SecretStr("t")))
    keys = set()
    for suffix in ("a", "b"):
        request = pager.render(notice(facts={"incident_id": "x" * 300 + suffix}))
        assert isinstance(request, HttpRequest)
        keys.add(orjson.loads(request.body)["dedup_key"])
    assert [True, True] == [len(key) <= 255 for key in keys]


EDITED = [
    ("slack-bot", "1.2", "https://slack.com/api/chat.update", "POST", {"channel": "C1", "ts": "1.2"}),
    (
        "telegram", "77", "https://api.telegram.org/bothush/editMessageText", "POST",
        {"chat_id": "1", "message_id": 77, "parse_mode": "HTML"},
    ),
    (
        "discord", "9", "https://hooks.example/hush/messages/9", "PATCH",
        {"allowed_mentions": {"parse": []}, "flags": 4},
    ),
    (
        "discord-bot", "9", "https://discord.com/api/v10/channels/1/messages/9", "PATCH",
        {"allowed_mentions": {"parse": []}, "flags": 4},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message_id", "url", "method", "fields"), EDITED)
def test_an_edit_has_the_same_words_as_a_message(
    name: str, message_id: str, url: str, method: str, fields: dict[str, Any]
) -> None:
    notifier, made = built(name), notice(headline="A & <b> @all", text="T *x*")
    assert isinstance(notifier, Edits)
    request = notifier.edit(made, message_id)
    body = orjson.loads(request.body)
    assert (url, method) == (request.url.get_secret_value(), request.method)
    assert fields == {key: body[key] for key in fields}
    assert words(name, rendered(name, made)) == words(name, body)
    assert "nonce" not in body


def test_a_webhook_and_an_incoming_hook_of_slack_cannot_edit() -> None:
    assert [False, False] == [isinstance(built(name), Edits) for name in ("webhook", "slack")]
