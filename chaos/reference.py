"""Debian's Alertmanager under the same faults, as the reference: one process or a cluster of two, a webhook receiver.

An alert is posted over its v2 API as by a client of its own: again every half second, as Prometheus does every
minute, or once. One incident is two alerts, a rung each, and the end of both. Waits that are minutes by default are a
second here, which is in its favour: group_wait 0 s, group_interval 1 s; repeat_interval stays at 4 h.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from tests.support.chat_server import ChatServer
from tests.support.program import free_port

from .counts import Alert
from .system import CLEARED, FIRED, STEPPED_UP, Told, add

PROGRAM = "prometheus-alertmanager"
POST_EVERY = 0.5  # seconds
START_SECONDS = 30.0
TARGET = "webhook"
RUNGS = {FIRED: "1B", STEPPED_UP: "1.7B"}
CONFIGURATION = """
route:
  receiver: chat
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: chat
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


def present() -> bool:
    """Can it be started on this machine?"""
    return shutil.which(PROGRAM) is not None


def version() -> str:
    """Of the one that is installed, such as `0.25.0`."""
    if not present():
        return "not installed"
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False, timeout=30)
    return f"{said.stdout}{said.stderr}".partition("version ")[2].split()[0]


@dataclass
class Node:
    """One Alertmanager with a folder for what it keeps."""

    folder: Path
    config: Path
    port: int = field(default_factory=free_port)
    cluster_port: int = field(default_factory=free_port)
    peers: Sequence[int] = ()
    clustered: bool = False
    process: asyncio.subprocess.Process | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, http: aiohttp.ClientSession) -> None:
        """Returns once it says that it is ready."""
        cluster = [f"--cluster.listen-address=127.0.0.1:{self.cluster_port}" if self.clustered else ""]
        if self.clustered:
            # Shorter than the defaults (200 ms, 15 s), so that a run takes seconds.
            cluster += ["--cluster.gossip-interval=50ms", "--cluster.peer-timeout=3s"]
            cluster += [f"--cluster.peer=127.0.0.1:{port}" for port in self.peers]
        else:
            cluster = ["--cluster.listen-address="]
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "alertmanager.log", "ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                PROGRAM,
                f"--config.file={self.config}",
                f"--storage.path={self.folder}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                *cluster,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        async with asyncio.timeout(START_SECONDS):
            while not await self._ready(http):
                await asyncio.sleep(0.02)

    async def _ready(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.origin}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def signal(self, number: int) -> None:
        """Any other signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)


@dataclass
class Reference:
    """`async with opened(folder, repeats=True) as reference:`; `repeats`: the client posts again and again."""

    folder: Path
    http: aiohttp.ClientSession
    repeats: bool
    nodes: list[Node] = field(default_factory=list)
    chats: dict[str, ChatServer] = field(default_factory=lambda: {TARGET: ChatServer()})
    hits: int = 0
    _alerts: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _owed: dict[int, list[dict[str, Any]]] = field(default_factory=dict)  # node -> not taken yet
    _seen: int = 0
    _told: Told = field(default_factory=dict)

    async def tell(self, coin: str, step: str) -> None:
        """Posts what has changed; until each Alertmanager has said 200. Between two steps is time to post again."""
        if self.repeats:
            await asyncio.sleep(2 * POST_EVERY)
        if step == CLEARED:
            changed = [alert | {"endsAt": _now()} for key, alert in self._alerts.items() if key[0] == coin]
        else:
            labels = {"alertname": "longs-24h", "severity": "critical", "coin": coin, "rung": RUNGS[step]}
            changed = [{"labels": labels, "startsAt": _now(), "endsAt": _now(7 * 86_400)}]
        for alert in changed:
            self._alerts[coin, alert["labels"]["rung"]] = alert
        # Prometheus posts a resolved alert for 15 minutes more; of the coins before, nothing new is to come.
        self._alerts = {key: alert for key, alert in self._alerts.items() if key[0] in self._latest_coins()}
        for number in range(len(self.nodes)):
            self._owed.setdefault(number, []).extend(changed)
        await self._pay()

    def due(self, coin: str, step: str) -> Sequence[Alert]:
        if step == CLEARED:
            return [Alert(TARGET, coin, f"{rung} resolved") for rung in RUNGS.values()]
        return [Alert(TARGET, coin, f"{RUNGS[step]} firing")]

    def told(self) -> Told:
        new, self._seen = self.chats[TARGET].accepted[self._seen :], len(self.chats[TARGET].accepted)
        for message in new:
            for alert in message.body["alerts"]:
                labels = alert["labels"]
                add(self._told, [(Alert(TARGET, labels["coin"], f"{labels['rung']} {alert['status']}"), False)])
        return self._told

    async def kill(self) -> None:
        await self.nodes[0].kill()
        await self.nodes[0].start(self.http)

    async def post_on(self) -> None:
        """The client, until it is cancelled: what was not taken yet, and every half second everything."""
        at = time.monotonic() + POST_EVERY
        while True:
            await asyncio.sleep(0.05)
            if self.repeats and time.monotonic() >= at:
                at = time.monotonic() + POST_EVERY
                for number in range(len(self.nodes)):
                    self._owed[number] = list(self._alerts.values())
            await self._pay()

    async def _pay(self) -> None:
        await asyncio.gather(*(self._pay_one(number) for number in range(len(self.nodes))))

    async def _pay_one(self, number: int) -> None:
        owed, self._owed[number] = self._owed.get(number, []), []
        if owed and not await self._post(self.nodes[number], owed):
            self._owed[number] = owed + self._owed[number]

    async def _post(self, node: Node, alerts: list[dict[str, Any]]) -> bool:
        try:
            limit = aiohttp.ClientTimeout(total=1.0)
            async with self.http.post(f"{node.origin}/api/v2/alerts", json=alerts, timeout=limit) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _latest_coins(self) -> list[str]:
        return list(dict.fromkeys(coin for coin, _ in self._alerts))[-3:]


def _now(later: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() + later, UTC).isoformat(timespec="milliseconds")


@contextlib.asynccontextmanager
async def opened(folder: Path, *, repeats: bool, nodes: int = 1) -> AsyncIterator[Reference]:
    """Receiver, Alertmanagers, client, and their end."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as stack:
        reference = Reference(folder, http, repeats)
        await stack.enter_async_context(reference.chats[TARGET])
        config.write_text(CONFIGURATION.format(url=f"http://127.0.0.1:{reference.chats[TARGET].port}/hook"))
        for number in range(nodes):
            node = Node(folder / f"node-{number}", config, clustered=nodes > 1)
            node.peers = [other.cluster_port for other in reference.nodes]
            reference.nodes.append(node)
        for node in reference.nodes:
            node.peers = [other.cluster_port for other in reference.nodes if other is not node]
        client: asyncio.Task[None] | None = None
        try:
            await asyncio.gather(*(node.start(http) for node in reference.nodes))
            if nodes > 1:
                await asyncio.sleep(4.0)  # the cluster settles: until then it holds notifications back
            client = asyncio.create_task(reference.post_on())
            yield reference
        finally:
            if client is not None:
                client.cancel()
                await asyncio.wait([client])
            for node in reference.nodes:
                with contextlib.suppress(ProcessLookupError):
                    node.signal(signal.SIGCONT)
                await node.kill()
