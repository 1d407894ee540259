"""One venue under atheris: `python -m tests.fuzz.venue VENUE [libFuzzer options] [FOLDER or FILE …]`.

The first byte of an input says what is tried: a frame as it is, a recorded frame with values replaced, or an answer of
the venue's REST lists and history. One session hears all the frames, so what it keeps of them shows.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["liqwatch.venues"]):
    from liqwatch import venues

    VENUES = venues.discover()  # imports them
from tests.support.fuzzing import SPOILT, Target, held, places

FOLDER = Path(__file__).parents[2] / ".cache" / "fuzz"
FRESH = 10_000  # frames a session hears before it is replaced
KEPT = 2_000  # objects it may hold by then, more than at first
NESTED = 3


class Fuzzed:
    """Reads an input as one thing to try, and tries it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = target.session()
        self._before = held(self._session, target.instruments)
        self._heard = 0
        self._urls = [*target.history_urls(), *(url for url, _ in target.history)]
        self._messages = [message for frame in target.frames if (message := _parsed(frame)) is not None]
        self._ways = [self._raw, self._text, self._list, self._object]
        if self._messages:
            self._ways += [self._spoilt, self._spoilt, self._compared, self._compared]
        if target.venue.history is not None and self._urls:
            self._ways += [self._history]
            if target.history:
                self._ways += [self._spoilt_history]

    def seeds(self) -> list[bytes]:
        """Inputs to begin with: the recorded frames, as bytes and as text, and the recorded answers."""
        frames = [frame if isinstance(frame, bytes) else frame.encode() for frame in self._target.frames]
        answers = [body for _, body in self._target.history] + [b'{"result":{"list":[]},"data":[],"code":0}']
        return [bytes([way]) + frame for way in (0, 1) for frame in frames] + [b"\x02\x00" + body for body in answers]

    def try_one(self, data: bytes) -> None:
        """Raises what a decoder must not."""
        if data:
            self._ways[data[0] % len(self._ways)](data[1:])

    def _raw(self, data: bytes) -> None:
        self._hear(data)

    def _text(self, data: bytes) -> None:
        self._hear(data.decode(errors="surrogateescape"))

    def _spoilt(self, data: bytes) -> None:
        self._hear(self._spoilt_frame(data))

    def _compared(self, data: bytes) -> None:
        self._target.compare(self._spoilt_frame(data))

    def _spoilt_frame(self, data: bytes) -> str:
        provider = atheris.FuzzedDataProvider(data)
        message = json.loads(
            self._messages[provider.ConsumeIntInRange(0, len(self._messages) - 1)], parse_float=Decimal
        )
        self._spoil(message, provider)
        return _dumped(message)

    def _list(self, data: bytes) -> None:
        self._target.list_instruments(data[0] if data else 0, data[1:])

    def _object(self, data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        objects = json.loads(_dumped(self._target.objects), parse_float=Decimal)
        self._spoil(objects, provider)
        self._target.build(objects)
        self._target.list_instruments(provider.ConsumeIntInRange(0, 7), _dumped(self._value(provider, 5)).encode())

    def _history(self, data: bytes) -> None:
        self._target.read_history(self._urls[data[0] % len(self._urls) if data else 0], data[1:])

    def _spoilt_history(self, data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        url, body = self._target.history[provider.ConsumeIntInRange(0, len(self._target.history) - 1)]
        message = json.loads(body)
        self._spoil(message, provider)
        self._target.read_history(url, _dumped(message).encode())

    def _hear(self, frame: str | bytes) -> None:
        self._target.hear(self._session, frame)
        self._heard += 1
        if self._heard == FRESH:
            grown = held(self._session, self._target.instruments) - self._before
            assert grown < KEPT, f"a session holds {grown} objects more after {FRESH} frames"
            self._session, self._heard = self._target.session(self._heard), 0

    def _spoil(self, message: Any, provider: Any) -> None:
        found = places(message)
        for _ in range(provider.ConsumeIntInRange(0, 4) if found else 0):
            holder, key = found[provider.ConsumeIntInRange(0, len(found) - 1)]
            holder[key] = self._value(provider, NESTED)

    def _value(self, provider: Any, depth: int) -> Any:
        words = self._target.words
        match provider.ConsumeIntInRange(0, 9 if depth else 6):
            case 0:
                return SPOILT[provider.ConsumeIntInRange(0, len(SPOILT) - 1)]
            case 1:
                return words[provider.ConsumeIntInRange(0, len(words) - 1)]
            case 2:
                return provider.ConsumeInt(8)
            case 3:
                return str(provider.ConsumeInt(8))
            case 4:
                return provider.ConsumeFloat()
            case 5:
                return f"{provider.ConsumeInt(4)}.{provider.ConsumeIntInRange(0, 10**6)}"
            case 6:
                return provider.ConsumeUnicode(12)
            case 7:
                return [self._value(provider, depth - 1) for _ in range(provider.ConsumeIntInRange(0, 3))]
            case _:
                names = [words[provider.ConsumeIntInRange(0, len(words) - 1)] for _ in range(3)]
                return {name: self._value(provider, depth - 1) for name in names}


def _parsed(frame: str | bytes) -> str | None:
    """The frame, where it is JSON with values to replace."""
    try:
        return frame if isinstance(frame, str) and places(json.loads(frame)) else None
    except ValueError:
        return None


def _dumped(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"), default=float)


def main() -> None:
    name, *options = sys.argv[1:]
    fuzzed = Fuzzed(Target(VENUES[name]))
    if not any(Path(option).is_file() for option in options):  # a file is an input to be tried again, alone
        seeds = FOLDER / name / "seeds"
        seeds.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(fuzzed.seeds()):
            (seeds / str(number)).write_bytes(seed)
        options.append(str(seeds))
    atheris.Setup([sys.argv[0], *options], fuzzed.try_one)
    atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    main()
