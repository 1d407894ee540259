"""liqwatch under test: real alerter processes on a real log, three chats of different ability, one incident a coin.

The chats: a signed webhook, which drops a second copy by its key; a Slack bot, which can be asked what has arrived;
Telegram, which can do neither: there a message of unknown fate is sent again, marked as a repeat.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.support.chat_server import ChatServer, Message
from tests.support.config import Setup
from tests.support.kafka_broker import RealBroker

from liqwatch.clock import Clock
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.settings import KafkaSettings
from liqwatch.topics import TOPICS

from . import victim
from .counts import Alert
from .feed import Feed
from .orders import Death, Orders
from .system import CLEARED, FIRED, LEVELS, STEPPED_UP, Told, add, until

TARGETS = ("webhook", "slackbot", "telegram")
READY_SECONDS = 40.0
RULE = """
[[rules]]
name = "longs-24h"
scope = "each base"
side = "long"
window = "24h"
thresholds = ["1B", "1.7B"]
clear_hold = "0s"
"""
_COIN = re.compile(r"\bK\d{5}\b")
# The processes are forked from one that has imported everything: a start costs milliseconds, not a second.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["chaos.victim"])
_NUMBERS = itertools.count()


class Alerter:
    """One alerter; started again after every death that was ordered."""

    def __init__(self, desk: "Desk", config: Path, feeds: bool) -> None:
        self.desk = desk
        self.config = config
        self.feeds = feeds
        self.process: ForkServerProcess | None = None
        self._ended = asyncio.Event()
        self._wanted = False
        self._changing = asyncio.Lock()
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns once it acts, or stands by."""
        async with self._changing:
            self._wanted = True
            await self._start()

    async def _start(self) -> None:
        ready = self.desk.folder / f"ready-{next(_NUMBERS)}"
        task = victim.Task(self.config, self.desk.path, self._output, ready, self.feeds, self.desk.speed)
        process = self.process = _CONTEXT.Process(target=victim.main, args=(task,), daemon=True)
        await asyncio.to_thread(process.start)
        ended = self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._on_end, process, ended)
        self._keepers.append(asyncio.create_task(self._keep(process, ended)))
        if not await until(lambda: ready.exists() or ended.is_set(), READY_SECONDS):
            self.desk.failure = f"an alerter never was ready:\n{self.output()}"

    @property
    def _output(self) -> Path:
        return self.desk.folder / "alerter.log"

    def output(self) -> str:
        """The last lines that alerters of this desk have written."""
        return self._output.read_text(errors="replace")[-3000:]

    async def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        async with self._changing:
            if not self._wanted or self.process is None or self.process.pid is None:
                return
            self._wanted = False
            if not self._ended.is_set():
                os.kill(self.process.pid, signal.SIGKILL)
                await self._ended.wait()
            await asyncio.to_thread(self.process.join)
            self.process.close()

    @property
    def dead(self) -> bool:
        return self._ended.is_set()

    @property
    def frozen(self) -> bool:
        """Is it stopped, by SIGSTOP?"""
        if self.process is None or self.dead:
            return False
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        return False

    def signal(self, number: int) -> None:
        """Any other signal, such as SIGSTOP."""
        assert self.process is not None and self.process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    async def _keep(self, process: ForkServerProcess, ended: asyncio.Event) -> None:
        await ended.wait()
        async with self._changing:
            if not self._wanted or process is not self.process:
                return  # somebody else has ended it
            await asyncio.to_thread(process.join)
            if process.exitcode != -signal.SIGKILL:
                self.desk.failure = f"an alerter ended though nobody had ordered it:\n{self.output()}"
                return
            self.desk.died()
            if self.desk.revives:
                await self._start()

    @staticmethod
    def _on_end(process: ForkServerProcess, ended: asyncio.Event) -> None:
        asyncio.get_running_loop().remove_reader(process.sentinel)
        ended.set()


@dataclass
class Desk:
    """`async with opened(folder) as desk:`. `bootstrap`: on Kafka, with `alerters` of them; else embedded, one."""

    folder: Path
    bootstrap: str | None = None
    speed: float = 1.0
    timeout: str = "1s"
    chats: dict[str, ChatServer] = field(default_factory=lambda: {name: ChatServer() for name in TARGETS})
    orders: Orders = field(default_factory=Orders)
    alerters: list[Alerter] = field(default_factory=list)
    hits: int = 0
    struck: list[str] = field(default_factory=list)  # the points of those that were ordered
    failure: str = ""
    revives: bool = True  # a dead alerter is started again at once
    broker: RealBroker | None = None
    _point: str = ""
    _seen: dict[str, int] = field(default_factory=dict)
    _told: Told = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / "orders.json"

    def configure(self, rules: str = RULE, name: str = "liqwatch.toml") -> Path:
        """Writes the settings; whole or not at all, since they may be read at any moment."""
        setup = Setup(self.folder, {}, bootstrap=self.bootstrap, rules=rules, extra=self._targets())
        return setup.write(f"{name}.new").replace(self.folder / name)

    async def start(self, count: int = 1) -> None:
        """So many alerters more."""
        for _ in range(count):
            alerter = Alerter(self, self.folder / "liqwatch.toml", self.bootstrap is None)
            self.alerters.append(alerter)
            await alerter.start()

    def command(self, **changes: Any) -> None:
        """New orders."""
        self.orders = replace(self.orders, **changes)
        self.orders.write(self.path)

    def arm(self, point: str, coin: str, n: int, number: int = signal.SIGKILL) -> None:
        """Whoever reaches the point for the n-th time with this coin gets the signal, once."""
        self._point = point
        self.command(death=Death(point, coin, n, number, next(_NUMBERS)))

    def died(self) -> None:
        """A death that was ordered has come: it is not to come again."""
        self.hits += 1
        self.struck.append(self._point)
        self.command(death=None)

    async def tell(self, coin: str, step: str) -> None:
        # What is long over leaves the file, and the log with it; those of before can be told no more.
        kept = dict(list(self.orders.levels.items())[-4:])
        self.command(levels=kept | {coin: LEVELS[step]})

    def due(self, coin: str, step: str) -> Sequence[Alert]:
        return [Alert(target, coin, step) for target in TARGETS]

    def told(self) -> Told:
        assert not self.failure, self.failure
        for name, chat in self.chats.items():
            seen, self._seen[name] = self._seen.get(name, 0), len(chat.accepted)
            add(self._told, _read(name, chat.accepted[seen:]))
        return self._told

    def kept_out(self) -> int:
        """Second copies that came to the webhook and were dropped there by their key."""
        return self.chats["webhook"].repeats

    async def kill(self) -> None:
        await self.alerters[0].kill()
        await self.alerters[0].start()

    async def revive(self) -> None:
        """Whoever is dead is started again, whoever is frozen goes on."""
        for alerter in self.alerters:
            if alerter.dead:
                await alerter.kill()
                await alerter.start()
            elif alerter.frozen:
                alerter.signal(signal.SIGCONT)

    def _targets(self) -> str:
        origin = {name: f"http://127.0.0.1:{chat.port}" for name, chat in self.chats.items()}
        common = f'allow_private = true\ntimeout = "{self.timeout}"'
        return f"""
[targets.webhook]
kind = "webhook"
url = "{origin["webhook"]}/hook"
secret = "signing-key"
{common}
[targets.slackbot]
kind = "slack"
token = "a-token"
channel = "C1"
api_origin = "{origin["slackbot"]}/slack"
{common}
[targets.telegram]
kind = "telegram"
token = "1:token"
channel = "42"
api_origin = "{origin["telegram"]}/telegram"
{common}
"""


def _read(target: str, messages: Sequence[Message]) -> list[tuple[Alert, bool]]:
    """Each message as the step that it tells, and whether it says that it is a repeat."""
    found = []
    for message in messages:
        text = message.raw.decode()  # the headline stands elsewhere in each chat
        coin = _COIN.search(text)
        assert coin is not None, text
        step = CLEARED if "Cleared" in text else STEPPED_UP if ", now past" in text else FIRED
        found.append((Alert(target, coin[0], step), "repeat of" in text))
    return found


@contextlib.asynccontextmanager
async def opened(
    folder: Path, *, bootstrap: str | None = None, alerters: int = 1, speed: float = 1.0, timeout: str = "1s"
) -> AsyncIterator[Desk]:
    """Chats, log and alerters, and their end."""
    folder.mkdir(parents=True, exist_ok=True)
    desk = Desk(folder, bootstrap, speed, timeout)
    async with contextlib.AsyncExitStack() as stack:
        for chat in desk.chats.values():
            await stack.enter_async_context(chat)
        desk.configure()
        desk.command()
        if bootstrap is not None:
            await stack.enter_async_context(_feeding(desk, bootstrap))
        try:
            await desk.start(alerters)
            yield desk
        finally:
            for alerter in desk.alerters:
                await alerter.kill()


@contextlib.asynccontextmanager
async def _feeding(desk: Desk, bootstrap: str) -> AsyncIterator[None]:
    log = KafkaLog(KafkaSettings(bootstrap_servers=bootstrap), clock=Clock())
    await log.open()
    await log.create(TOPICS.values())
    task = asyncio.create_task(Feed(log, Clock(), lambda: desk.orders).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        await log.close()
