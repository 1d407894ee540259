"""The topics and their messages as contracts for readers in any language: JSON Schema and AsyncAPI.

`make schemas` writes them to `schemas/`, where they are committed; a test holds them in step with the program.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from . import events
from .topics import TOPICS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_FILE = "asyncapi.json"
VERSION = "1.1.0"  # of the contracts: the middle number grows with each optional field added

_Json = dict[str, Any]


def generate() -> dict[str, str]:
    """Every file of `schemas/` that is made from the program: its name and its text."""
    files = {schema_file(topic): _text(topic_schema(topic)) for topic in TOPICS.values()}
    return files | {ASYNCAPI_FILE: _text(asyncapi())}


def write(folder: Path) -> list[Path]:
    """Writes the contracts into `folder` and removes those of topics that are no more; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    files = generate()
    for stale in {path.name for path in folder.glob("*.schema.json")} - files.keys():
        (folder / stale).unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def differences(folder: Path) -> list[str]:
    """Names of the files in `folder` that are not what `write` would leave there."""
    files = generate()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in files.keys() | found.keys() if files.get(name) != found.get(name))


def schema_file(topic: Topic) -> str:
    """The name of a topic's JSON Schema."""
    return f"{topic.name}.schema.json"


def topic_schema(topic: Topic) -> _Json:
    """JSON Schema of what a record's value may be; a tombstone (no value) is not described."""
    models, definitions = _models(topic.messages, "#/$defs/{model}")
    about = {"$schema": DIALECT, "$id": schema_file(topic), "title": topic.name, "description": topic.about}
    choice: _Json = models[0] if len(models) == 1 else {"oneOf": models}
    return {**about, **choice, "$defs": definitions}


def asyncapi() -> _Json:
    """The AsyncAPI 3.0 document: each topic a channel, each service's part in it an operation."""
    messages = [message for topic in TOPICS.values() for message in topic.messages]
    _, definitions = _models(messages, "#/components/schemas/{model}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "liqwatch",
            "version": VERSION,
            "description": "Forced liquidations on crypto derivatives venues: events, rolling totals by side, alerts. "
            "Readers ignore fields they do not know. Money, prices and quantities are decimal strings; times are "
            "integer milliseconds since the epoch.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_short(topic): _channel(topic) for topic in TOPICS.values()},
        "operations": {name: operation for topic in TOPICS.values() for name, operation in _operations(topic).items()},
        "components": {
            "messages": {
                message.__name__: _message(topic, message) for topic in TOPICS.values() for message in topic.messages
            },
            "schemas": definitions,
        },
    }


def _models(messages: Iterable[type[events.Message]], place: str) -> tuple[list[_Json], _Json]:
    """References to the messages, and the definitions that stand at `place`."""
    wanted = [(message, "validation") for message in messages]
    references, holder = models_json_schema(wanted, ref_template=place)  # type: ignore[arg-type]
    definitions: _Json = holder["$defs"]
    for definition in definitions.values():
        _tidy(definition)
    return [references[key] for key in wanted], definitions  # type: ignore[index]


def _tidy(definition: _Json) -> None:
    """No titles that only repeat a field's name; `version` and `kind` asked for.

    Our readers can do without those two, but a writer always says them.
    """
    for field in definition["properties"].values():
        field.pop("title", None)
    constants = [name for name, field in definition["properties"].items() if "const" in field]
    rest = [name for name in definition.get("required", []) if name not in constants]
    definition["required"] = constants + rest


def _short(topic: Topic) -> str:
    return topic.name.split(".")[1]


def _channel(topic: Topic) -> _Json:
    configuration: _Json = {"cleanup.policy": ["compact"] if topic.compacted else []}
    if topic.retention is not None:
        configuration["cleanup.policy"].append("delete")
        configuration["retention.ms"] = int(topic.retention.total_seconds() * 1000)
    return {
        "address": topic.name,
        "title": topic.name,
        "description": topic.about,
        "messages": {
            message.__name__: {"$ref": f"#/components/messages/{message.__name__}"} for message in topic.messages
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(topic: Topic) -> _Json:
    channel = f"#/channels/{_short(topic)}"
    parts = [("send", writer) for writer in topic.writers] + [("receive", reader) for reader in topic.readers]
    return {
        f"{service}-{action}s-{_short(topic)}": {
            "action": action,
            "channel": {"$ref": channel},
            "messages": [{"$ref": f"{channel}/messages/{message.__name__}"} for message in topic.messages],
            "tags": [{"name": service}],
        }
        for action, service in parts
    }


def _message(topic: Topic, message: type[events.Message]) -> _Json:
    return {
        "name": message.__name__,
        "title": message.__name__,
        "summary": (message.__doc__ or "").split("\n")[0],
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    }


def _text(document: _Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
