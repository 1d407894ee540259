"""Logs: JSON on stderr, secrets cut out of every line, also out of tracebacks and of libraries' lines."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from liqwatch import logs
from liqwatch.settings import LoggingSettings

SECRET = "xoxb-planted-secret"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


def test_a_line_is_one_json_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LoggingSettings(format="json"))
    structlog.get_logger("collector").warning("down", venue="bybit", retry=1.5)
    captured = capsys.readouterr()
    line = json.loads(captured.err)
    assert ("", "down", "bybit", 1.5, "warning", "collector") == (
        captured.out,
        line["event"],
        line["venue"],
        line["retry"],
        line["level"],
        line["logger"],
    )


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_planted_secret_reaches_no_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LoggingSettings(format=style), [SECRET])  # type: ignore[arg-type]
    log = structlog.get_logger("alerter")
    log.warning(
        f"posting to https://chat.example/{SECRET}/x", url=f"https://chat.example/{SECRET}", error=OSError(SECRET)
    )
    try:
        raise ValueError(f"token {SECRET} refused")
    except ValueError:
        log.exception("failed", headers={"authorization": SECRET})
    logging.getLogger("some.library").error("sent %s", SECRET)
    err = capsys.readouterr().err
    assert SECRET not in err
    assert err.count(logs.MASK) >= 5
