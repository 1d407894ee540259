"""The examples written by hand are messages for every reader; the wrong ones are for none."""

import json
from functools import cache
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from liqwatch import contracts, events, wire
from liqwatch.topics import LIQUIDATIONS, TOPICS, TOTALS, Topic

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "schemas" / "examples"
WRONG = ROOT / "tests" / "data" / "contracts"
VALID_FILES = sorted(EXAMPLES.glob("*/*.json"))
WRONG_FILES = sorted(WRONG.glob("*/*.json"))
TWINS = {LIQUIDATIONS.name: wire.decode_liquidation, TOTALS.name: wire.decode_totals}


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _topic(path: Path) -> Topic:
    return TOPICS[path.parent.name]


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((ROOT / "schemas" / contracts.schema_file(TOPICS[name])).read_text())
    return Draft202012Validator(schema)


def _read(topic: Topic, text: bytes) -> events.Message:
    """As a reader that is strict about types: a topic's messages are told apart by what they are."""
    mistakes = []
    for message in topic.messages:
        try:
            found = message.model_validate_json(text, strict=True)
        except ValidationError as mistake:
            mistakes.append(str(mistake))
        else:
            if "kind" in message.model_fields and "kind" not in found.model_fields_set:
                mistakes.append("no kind")
                continue
            return found
    raise ValueError("; ".join(mistakes))


@pytest.mark.parametrize("path", VALID_FILES, ids=_name)
def test_an_example_satisfies_the_schema(path: Path) -> None:
    assert [] == [str(error) for error in _validator(path.parent.name).iter_errors(json.loads(path.read_bytes()))]


@pytest.mark.parametrize("path", VALID_FILES, ids=_name)
def test_an_example_is_read_by_the_program_and_written_again_within_the_contract(path: Path) -> None:
    message = _read(_topic(path), path.read_bytes())
    written = json.loads(message.model_dump_json())

    assert [] == [str(error) for error in _validator(path.parent.name).iter_errors(written)]
    assert message == type(message).model_validate(written)
    example = json.loads(path.read_bytes())
    known = type(message).model_fields.keys()
    assert {key for key in example if key not in known} <= {"leverage"}, "a misspelt field would be ignored in silence"


@pytest.mark.parametrize("path", [path for path in VALID_FILES if path.parent.name in TWINS], ids=_name)
def test_the_fast_reader_sees_in_an_example_what_the_contract_sees(path: Path) -> None:
    fast = msgspec.to_builtins(TWINS[path.parent.name](path.read_bytes()))
    expected = _read(_topic(path), path.read_bytes()).model_dump(mode="json")
    assert expected == fast


@pytest.mark.parametrize("path", WRONG_FILES, ids=_name)
def test_a_wrong_message_is_refused_by_the_schema(path: Path) -> None:
    assert not _validator(path.parent.name).is_valid(json.loads(path.read_bytes()))


@pytest.mark.parametrize("path", WRONG_FILES, ids=_name)
def test_a_wrong_message_is_refused_by_the_program(path: Path) -> None:
    with pytest.raises(ValueError):
        _read(_topic(path), path.read_bytes())


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_every_message_has_several_examples_and_every_topic_wrong_ones(topic: Topic) -> None:
    shown = [type(_read(topic, path.read_bytes())) for path in VALID_FILES if _topic(path) is topic]
    assert {} == {m.__name__: shown.count(m) for m in topic.messages if shown.count(m) < 2}
    assert 2 <= len([path for path in WRONG_FILES if _topic(path) is topic])


def test_examples_stand_only_under_topics_that_exist() -> None:
    folders = {path.name for folder in (EXAMPLES, WRONG) for path in folder.iterdir()}
    assert TOPICS.keys() == folders
