"""The command line: the only reader of argv. stdout carries the answer, stderr everything else."""

import asyncio
import contextlib
import gc
import gzip
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

import click
import orjson

from . import __version__

_T = TypeVar("_T")
# The threads of the log want the interpreter for moments only; a busy loop keeps it for 5 ms unless told otherwise.
_SWITCH_SECONDS = 0.0005
_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Settings (TOML). Default: $LIQWATCH_CONFIG, ./liqwatch.toml, else the defaults that come with the program.",
)

SCENARIOS = (
    "crash-day", "2021-04-17", "2021-05-19", "2022-10-25", "2022-11-08", "2025-02-03", "2025-09-22", "2025-10-10",
    "2026-01-30", "2026-02-05", "quiet", "burst",
)  # fmt: skip
_SCENARIO = click.option(
    "--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], show_default=True, help="A day of that shape."
)


def fail(*lines: str, status: int = 1) -> NoReturn:
    """Ends with sentences on stderr instead of a traceback."""
    for line in lines:
        click.echo(f"liqwatch: {line}", err=True)
    sys.exit(status)


def collect_rarely() -> None:
    """Full collections stop the loop for tenths of a second, and find next to nothing: what is made in numbers here
    (records, rows, frames) has no cycles. So they are rare, and what was imported is left out of them. Of the young
    objects few are looked at together: thousands take milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 5, 1_000)


def run_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs `work` on uvloop where it is there, else on asyncio's own loop."""
    collect_rarely()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


def settings_or_fail(config: Path | None, *, resolve_secrets: bool = True) -> Any:
    """The settings, or every mistake in them and exit 1."""
    from . import configuration
    from .settings import SettingsError

    try:
        return configuration.read(config, resolve_secrets=resolve_secrets)
    except SettingsError as error:
        fail(*error.mistakes)


def start_logs(settings: Any, *, level: str | None = None) -> None:
    from . import configuration, logs

    logs.configure(settings.logging, list(configuration.secrets(settings)), level=level)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="liqwatch")
def main() -> None:
    """Watches forced liquidations on crypto derivatives venues."""


@main.command()
@_CONFIG
def run(config: Path | None) -> None:
    """Everything in one process on the embedded log: collect, add up, alert, show."""
    settings = settings_or_fail(config)
    if settings.log.backend != "sqlite":
        fail(
            '`run` keeps its own embedded log: set log.backend = "sqlite", '
            "or start `collect`, `aggregate`, `alert` and `web` for Kafka"
        )
    from .live import run_live

    terminal = sys.stdout.isatty()
    start_logs(settings, level="warning" if terminal else None)
    sys.exit(run_loop(run_live(settings, config, terminal=terminal)))


def _service(name: str, part: str) -> Callable[..., None]:
    def command(config: Path | None, check_only: bool, rehearsed: str | None = None) -> None:
        settings = settings_or_fail(config)
        if check_only:
            click.echo("settings are valid")
            return
        if rehearsed is not None:
            _rehearse(settings, rehearsed)
            return
        start_logs(settings)
        from .assembly import SERVICE_PORTS, Process

        async def work() -> int:
            port = getattr(settings.http, SERVICE_PORTS[name])
            emit = _print_line if name == "alert" else print
            return await Process(name, [part], settings, port=port, config=config, emit=emit).run()

        sys.exit(run_loop(work()))

    return command


def _rehearse(settings: Any, name: str) -> None:
    from .alerter.rehearsal import rehearse
    from .spelling import did_you_mean

    rules = {rule.name: rule for rule in settings.rules}
    if name not in rules:
        others = did_you_mean(name, rules) or f"; there are {', '.join(rules)}"
        fail(f"no rule is called {name!r}{others}", status=2)
    for line in rehearse(settings, rules[name]):
        click.echo(line)


def _print_line(text: str) -> None:
    click.echo(text)


for _name, _part, _help in (
    ("collect", "collector", "Collects the feeds and writes liquidations and coverage to the log."),
    ("aggregate", "aggregator", "Keeps the rolling totals and writes them to the log."),
    ("alert", "alerter", "Judges the rules and tells the chats."),
    ("web", "web", "Serves the live page, its JSON API and its stream."),
):
    _command = click.option("--check-config", "check_only", is_flag=True, help="Only check the settings.")(
        _service(_name, _part)
    )
    if _part == "alerter":
        _command = click.option(
            "--dry-run-alert", "rehearsed", metavar="RULE", help="Only print what this rule would say to each target."
        )(_command)
    main.command(_name, help=_help)(_CONFIG(_command))


@main.command()
@_SCENARIO
@click.option(
    "--speed",
    default=1800.0,
    show_default=True,
    type=click.FloatRange(1, 10_000),
    help="How many times faster than life.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed plays the same day.")
@_CONFIG
def demo(scenario: str, speed: float, seed: int, config: Path | None) -> None:
    """A crash day in a minute: the whole program against simulated venues, alerts on the console."""
    settings = settings_or_fail(config, resolve_secrets=False)  # the demo tells no chat and asks no broker
    from .live import run_demo

    terminal = sys.stdout.isatty()
    start_logs(settings, level="warning")
    sys.exit(run_loop(run_demo(settings, scenario, speed, seed, terminal=terminal)))


@main.command()
@_SCENARIO
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(0.1, 10_000))
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--disconnect-every",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    help="Cut every socket at random, after so long in the mean.",
)
def simulate(scenario: str, speed: float, seed: int, disconnect_every: float | None) -> None:
    """Only the venue servers: prints the settings that point liqwatch at them, then plays the scenario."""
    from . import logs, simulator
    from .settings import LoggingSettings

    logs.configure(LoggingSettings())
    try:
        with contextlib.suppress(KeyboardInterrupt):
            run_loop(
                simulator.serve(scenario, seed=seed, speed=speed, disconnect_every=disconnect_every, say=click.echo)
            )
    except ValueError as error:
        fail(str(error), status=2)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def venues(as_json: bool) -> None:
    """Every venue: completeness, side rule, price kind, doc page, date checked."""
    from .venuetable import as_objects, as_table

    click.echo(orjson.dumps(as_objects(), option=orjson.OPT_INDENT_2).decode() if as_json else as_table())


@main.command()
@click.argument("venue")
@click.argument("file", default="-")
@click.option("--instruments", type=click.Path(path_type=Path), help="JSON object: the venue's REST objects by symbol.")
@click.option("--recording", is_flag=True, help="Lines are objects with `frame` and `instruments`.")
def normalize(venue: str, file: str, instruments: Path | None, recording: bool) -> None:
    """What the venue's decoder makes of frames: one line in, one JSON object out."""
    from . import normalize as normalizer
    from . import venues as known

    if venue not in known.names():
        fail(f"unknown venue {venue!r}; known are {', '.join(known.names())}", status=2)
    table: dict[str, Any] | None = None
    if instruments is not None:
        try:
            table = json.loads(instruments.read_bytes(), parse_float=Decimal)  # every digit counts
        except (OSError, ValueError) as error:
            fail(f"cannot read the instruments {instruments}: {error}")
        if not isinstance(table, dict):
            fail(f"cannot read the instruments {instruments}: not a JSON object")
    with _lines(file) as lines, _quiet_pipe():
        normalizer.run(venue, lines, sys.stdout, table, recording)


@contextlib.contextmanager
def _lines(file: str) -> Iterator[IO[str]]:
    try:
        if file == "-":
            yield open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
            return
        opened = (
            gzip.open(file, "rt", encoding="utf-8", errors="surrogateescape")
            if file.endswith(".gz")
            else open(file, encoding="utf-8", errors="surrogateescape")
        )
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}")
    with opened as lines:
        yield lines


@contextlib.contextmanager
def _quiet_pipe() -> Iterator[None]:
    """`… | head` is a way of reading, not an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rules", type=click.Path(path_type=Path), help="Settings (TOML) whose [[rules]] are judged.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def replay(files: tuple[Path, ...], rules: Path | None, as_json: bool) -> None:
    """Recorded liquidations (JSONL, .gz too) through the real window and rules: totals, peaks, alerts."""
    from . import replay as player

    settings = settings_or_fail(rules, resolve_secrets=False) if rules is not None else None
    try:
        timeline: list[str] = []
        if settings is None:
            result = player.run(files)
        else:
            result = player.run(
                files, settings.rules, settings.aggregator.windows, majors=settings.coins.majors, timeline=timeline
            )
    except OSError as error:
        fail(f"cannot read {error.filename}: {error.strerror}")
    click.echo(orjson.dumps(result).decode() if as_json else player.human(result, timeline))


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Checks settings: every mistake at once, or what they mean."""
    settings = settings_or_fail(file)
    from .rulewords import route_sentence, sentence
    from .unheard import unheard

    click.echo(
        f"{file} is valid: log on {settings.log.backend}, {len(settings.rules)} rules, {len(settings.targets)} targets"
    )
    on = tuple(name for name, target in settings.targets.items() if target.enabled) or ("nobody",)
    targets = ("whom the routes say",) if settings.routes else on
    for rule in settings.rules:
        click.echo(f"  {rule.name}: {sentence(rule, targets)}")
    for route in settings.routes:
        click.echo(f"  route: {route_sentence(route)}")
    if not settings.rules:
        click.echo("  no rules: nothing will ever be told")
    for words in unheard(settings):
        click.echo(f"  switched off: {words}")
    for name in settings.templates:
        users = [target for target in settings.targets if settings.targets[target].form == name]
        click.echo(f"  template {name}: {'for ' + ', '.join(users) if users else 'no target names it as its form'}")
    from .web.hosts import is_own

    if settings.web.enabled and not is_own(settings.web.host):
        names = ", ".join(settings.web.hosts) or "none in web.hosts"
        click.echo(
            f"  web.host {settings.web.host}: others can reach the page, which has no accounts; names with a dot that "
            f"it answers: {names}"
        )


@main.command("notify-test")
@click.argument("target")
@_CONFIG
def notify_test(target: str, config: Path | None) -> None:
    """Sends one real message to a target, and a picture if it wants them, and says what became of them."""
    settings = settings_or_fail(config)
    if target not in settings.targets:
        fail(f"no target is called {target!r}; the settings have {', '.join(sorted(settings.targets))}", status=2)
    start_logs(settings)
    from .live import send_test

    accepted, words = run_loop(send_test(settings, target))
    click.echo(words)
    sys.exit(0 if accepted else 1)


@main.command()
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option(
    "--wait",
    default=20.0,
    show_default=True,
    type=click.FloatRange(1, 600),
    help="Seconds that a feed has to show that it delivers.",
)
def doctor(config: Path | None, as_json: bool, wait: float) -> None:
    """Tries every venue, the log and the chats: what works, what does not, and why. Exit 0 only if all does."""
    settings = settings_or_fail(config)
    start_logs(settings, level="error")
    from . import doctor as examination
    from .doctor import finding

    found = run_loop(examination.examine(settings, wait))
    click.echo(orjson.dumps(finding.as_objects(found)).decode() if as_json else finding.as_table(found))
    sys.exit(0 if finding.all_well(found) else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: the whole records.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="So many, open ones first.")
@_CONFIG
def incidents(as_json: bool, limit: int, config: Path | None) -> None:
    """Incidents that the log has: open ones, then the newest."""
    from . import explaining
    from .clock import Clock

    settings = settings_or_fail(config)
    start_logs(settings, level="error")
    found = _from_log(lambda: explaining.incidents(settings))[:limit]
    if as_json:
        click.echo(orjson.dumps([one.model_dump(mode="json") for one in found]).decode())
        return
    for line in explaining.listing(found, Clock().now_ms()):
        click.echo(line)


@main.command()
@click.argument("incident_id", metavar="INCIDENT")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@_CONFIG
def explain(incident_id: str, as_json: bool, config: Path | None) -> None:
    """What an incident said and to whom, and its figures counted anew from liquidations; exit 1 if they differ."""
    from . import explaining

    settings = settings_or_fail(config)
    start_logs(settings, level="error")
    found = _from_log(lambda: explaining.explain(settings, incident_id))
    if found is None:
        fail(f"there is no incident {incident_id}; `liqwatch incidents` lists them", status=2)
    if as_json:
        click.echo(orjson.dumps(explaining.as_object(*found)).decode())
    else:
        for line in explaining.words(*found):
            click.echo(line)
    sys.exit(1 if any(step.verdict == "differs" for step in found[1]) else 0)


@main.command()
@click.argument("venues", nargs=-1, metavar="[VENUE…]")
@click.option("--since", "back", default="24h", show_default=True, help="So far back: 1h, 7d; the log keeps 30d.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@_CONFIG
def coverage(venues: tuple[str, ...], back: str, as_json: bool, config: Path | None) -> None:
    """When each venue was watched and when not, by the log: share, gaps, their reasons, what was filled."""
    from . import unwatched
    from . import venues as known
    from .spelling import did_you_mean, parse_duration

    settings = settings_or_fail(config)
    try:
        span = parse_duration(back)
    except ValueError as error:
        fail(f"--since: {error}", status=2)
    for name in venues:
        if name not in known.names():
            fail(f"unknown venue {name!r}{did_you_mean(name, known.names())}", status=2)
    start_logs(settings, level="error")
    found = _from_log(lambda: unwatched.read(settings, span, venues))
    if as_json:
        click.echo(orjson.dumps(unwatched.as_object(*found)).decode())
        return
    for line in unwatched.words(*found):
        click.echo(line)


@main.group()
def silence() -> None:
    """Holds back what matches, for a time; it is recorded, and told afterwards if it still lasts."""


@silence.command("add")
@click.argument("match", nargs=-1, required=True, metavar="KEY=VALUE…")
@click.option("--reason", required=True, help="Why; it stands in the record of what was held back.")
@click.option("--for", "lasts", required=True, help="How long: 30m, 8h, 7d; 90d at most.")
@click.option("--author", help="Who; by default the user.")
@_CONFIG
def silence_add(match: tuple[str, ...], reason: str, lasts: str, author: str | None, config: Path | None) -> None:
    """A silence that begins now. Keys: rule, scope, side, severity, window, kind, venue, coin; all have to fit."""
    from . import silencing
    from .spelling import parse_duration

    settings = settings_or_fail(config)
    try:
        span = parse_duration(lasts)
    except ValueError as error:
        fail(f"--for: {error}", status=2)
    start_logs(settings, level="error")
    click.echo(_from_log(lambda: silencing.add(settings, silencing.matcher(match), reason, span, author)))


@silence.command("list")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@_CONFIG
def silence_list(as_json: bool, config: Path | None) -> None:
    """Silences in force or to come, the one that ends first first."""
    from . import silencing
    from .clock import Clock

    settings = settings_or_fail(config)
    start_logs(settings, level="error")
    found = _from_log(lambda: silencing.read(settings))
    if as_json:
        click.echo(orjson.dumps([one.model_dump(mode="json") for one in found]).decode())
        return
    for one in found:
        click.echo(silencing.line(one, Clock().now_ms()))


@silence.command("end")
@click.argument("silence_id")
@_CONFIG
def silence_end(silence_id: str, config: Path | None) -> None:
    """Ends a silence now."""
    from . import silencing

    settings = settings_or_fail(config)
    start_logs(settings, level="error")
    _from_log(lambda: silencing.end(settings, silence_id))


def _from_log(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    from .eventlog import LogError
    from .silencing import CannotSilence

    try:
        return run_loop(work())
    except (CannotSilence, LogError) as error:
        fail(str(error))


@main.group()
def topics() -> None:
    """The topics of the log."""


@topics.command("create")
@_CONFIG
def topics_create(config: Path | None) -> None:
    """Makes the topics that are missing, with their partitions, retention and compaction."""
    settings = settings_or_fail(config)
    start_logs(settings, level="error")
    from .live import create_topics

    _topics(create_topics(settings))


@topics.command("list")
@_CONFIG
def topics_list(config: Path | None) -> None:
    """The topics as they should be, and as the log has them."""
    settings = settings_or_fail(config)
    start_logs(settings, level="error")
    from .live import list_topics

    _topics(list_topics(settings))


def _topics(work: Coroutine[Any, Any, list[str]]) -> None:
    from .eventlog import LogError

    try:
        for line in run_loop(work):
            click.echo(line)
    except LogError as error:
        fail(str(error))


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("schemas"), show_default=True, help="Folder to write to."
)
@click.option("--check", is_flag=True, help="Only say whether the files are in step; exit 1 if not.")
def schemas(out: Path, check: bool) -> None:
    """Writes JSON Schema per topic and the AsyncAPI document."""
    from . import contracts

    if check:
        if stale := contracts.differences(out):
            fail(f"out of step: {', '.join(stale)}; run `make schemas`")
        return
    try:
        written = contracts.write(out)
    except OSError as error:
        fail(f"cannot write to {error.filename or out}: {error.strerror}; name another folder in --out", status=2)
    for path in written:
        click.echo(path)


if __name__ == "__main__":
    main()
