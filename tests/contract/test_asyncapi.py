"""The AsyncAPI document has the parts that version 3.0 asks for, and every reference in it leads somewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from liqwatch.topics import TOPICS

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "schemas" / "asyncapi.json").read_text())


def mistakes(document: dict[str, Any]) -> Iterator[str]:
    """What the specification would not let pass, of the parts that we use."""
    if document.get("asyncapi") != "3.0.0":
        yield "asyncapi: is not 3.0.0"
    for part in ("title", "version"):
        if not isinstance(document.get("info", {}).get(part), str):
            yield f"info.{part}: is missing"
    for place, reference in references(document):
        if resolved(document, reference) is None:
            yield f"{place}: leads nowhere: {reference}"
    for name, channel in document["channels"].items():
        if not channel.get("address") or not channel.get("messages"):
            yield f"channels.{name}: needs an address and messages"
    for name, operation in document["operations"].items():
        if operation.get("action") not in ("send", "receive"):
            yield f"operations.{name}.action: is neither send nor receive"
        channel = operation.get("channel", {}).get("$ref", "")
        if not channel.startswith("#/channels/"):
            yield f"operations.{name}.channel: is not a reference to a channel"
        for message in operation.get("messages", ()):
            if not message["$ref"].startswith(f"{channel}/messages/"):
                yield f"operations.{name}.messages: {message['$ref']} is not a message of its channel"


def references(part: object, place: str = "#") -> Iterator[tuple[str, str]]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield place, value
            else:
                yield from references(value, f"{place}/{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from references(value, f"{place}/{number}")


def resolved(document: dict[str, Any], reference: str) -> object:
    part: Any = document
    for key in reference.removeprefix("#/").split("/"):
        part = part.get(key) if isinstance(part, dict) else None
    return part


def test_the_document_keeps_to_the_specification() -> None:
    assert [] == list(mistakes(DOCUMENT))


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda d: d["info"].pop("version"), "info.version"),
        (lambda d: d["components"]["schemas"].pop("Price"), "leads nowhere"),
        (lambda d: d["channels"]["bars"].pop("address"), "channels.bars"),
        (lambda d: d["operations"]["collector-sends-prices"].update(action="publish"), "action"),
        (
            lambda d: d["operations"]["collector-sends-prices"].update(channel={"$ref": "#/channels/bars"}),
            "its channel",
        ),
    ],
)
def test_a_spoilt_document_is_not_let_through(spoil: Any, found: str) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    spoil(document)
    assert any(found in mistake for mistake in mistakes(document))


def test_payloads_are_schemas_of_the_dialect_that_asyncapi_reads() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def test_every_topic_is_a_channel_with_its_partitions_and_retention() -> None:
    channels = {channel["address"]: channel["bindings"]["kafka"] for channel in DOCUMENT["channels"].values()}
    expected = {topic.name: topic.partitions for topic in TOPICS.values()}
    assert expected == {name: binding["partitions"] for name, binding in channels.items()}
    alerts = channels["liqwatch.alerts.v1"]["topicConfiguration"]
    assert {"cleanup.policy": ["compact", "delete"], "retention.ms": 400 * 86_400_000} == alerts
    assert {"cleanup.policy": ["compact"]} == channels["liqwatch.totals.v1"]["topicConfiguration"]


def test_every_writer_sends_and_every_reader_receives() -> None:
    expected = {(w, "send", t.name) for t in TOPICS.values() for w in t.writers}
    expected |= {(r, "receive", t.name) for t in TOPICS.values() for r in t.readers}
    found = {
        (
            operation["tags"][0]["name"],
            operation["action"],
            resolved(DOCUMENT, operation["channel"]["$ref"] + "/address"),
        )
        for operation in DOCUMENT["operations"].values()
    }
    assert expected == found
