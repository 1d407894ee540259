"""The committed contracts are those of the program, are well formed, and name every topic and message."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from liqwatch import contracts
from liqwatch.topics import TOPICS

SCHEMAS = Path(__file__).parents[2] / "schemas"


def test_the_committed_contracts_are_those_of_the_program() -> None:
    assert [] == contracts.differences(SCHEMAS), "the contracts have changed: run `make schemas` and commit schemas/"


def test_a_contract_that_was_changed_forgotten_or_left_over_is_seen(tmp_path: Path) -> None:
    changed, forgotten, *_ = contracts.write(tmp_path)
    changed.write_text(changed.read_text().replace("position", "order", 1))
    forgotten.unlink()
    (tmp_path / "liqwatch.gone.v1.schema.json").write_text("{}")

    assert sorted([changed.name, forgotten.name, "liqwatch.gone.v1.schema.json"]) == contracts.differences(tmp_path)

    contracts.write(tmp_path)
    assert [] == contracts.differences(tmp_path)


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_a_topic_s_schema_is_a_valid_schema_that_says_what_it_is(topic: object) -> None:
    schema = json.loads((SCHEMAS / contracts.schema_file(topic)).read_text())  # type: ignore[arg-type]
    Draft202012Validator.check_schema(schema)
    assert topic.name == schema["title"]  # type: ignore[attr-defined]
    assert {m.__name__ for m in topic.messages} <= schema["$defs"].keys()  # type: ignore[attr-defined]


def test_the_repository_s_schema_names_are_unique_to_a_topic() -> None:
    assert len(TOPICS) == len({contracts.schema_file(topic) for topic in TOPICS.values()})
