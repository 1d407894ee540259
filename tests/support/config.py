"""Writes settings for a whole set of services that talk to local venues, a local log and a local chat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liqwatch import venues

from .program import free_port

SERVICES = ("run", "collect", "aggregate", "alert", "web")


@dataclass
class Setup:
    """Settings on disk and the ports that were chosen for them."""

    folder: Path
    origins: Mapping[str, tuple[str, str]]  # venue -> (websocket origin, REST origin); all others are off
    bootstrap: str | None = None
    group_prefix: str = "liqwatch"
    chat_url: str | None = None
    rules: str = ""
    extra: str = ""
    collector: str = "collector-1"
    session_timeout: str = "6s"
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in SERVICES})
    page_port: int = field(default_factory=free_port)

    def write(self, name: str = "liqwatch.toml") -> Path:
        lines = ["[log]"]
        if self.bootstrap:
            lines += ['backend = "kafka"', "[log.kafka]", f'bootstrap_servers = "{self.bootstrap}"']
            lines += [f'group_prefix = "{self.group_prefix}"', f'session_timeout = "{self.session_timeout}"']
        else:
            lines += [f'path = "{self.folder}/liqwatch.db"']
        lines += ["[http]", *(f"{service}_port = {port}" for service, port in self.ports.items())]
        lines += ["[web]", f"port = {self.page_port}"]
        lines += [
            "[collector]",
            f'collector = "{self.collector}"',
            f'spool_path = "{self.folder}/spool-{self.collector}"',
        ]
        lines += ['coverage_every = "1s"']
        for venue in venues.names():
            lines.append(f"[venues.{venue}]")
            if venue in self.origins:
                websocket, rest = self.origins[venue]
                lines += ["enabled = true", f'websocket_origin = "{websocket}"', f'rest_origin = "{rest}"']
            else:
                lines.append("enabled = false")
        if self.chat_url:
            lines += ["[targets.chat]", 'kind = "webhook"', f'url = "{self.chat_url}"', 'secret = "test-signing-key"']
            lines += ["allow_private = true"]
        lines += [self.extra, self.rules]
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n")
        return path
