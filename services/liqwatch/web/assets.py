"""The page's own files, read once: served from memory, compressed, known again by their tag."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content_type: str
    body: bytes
    packed: bytes
    tag: str


def read() -> dict[str, Asset]:
    """Every file of `static/`, by name."""
    found = {}
    for entry in files(__package__).joinpath("static").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in _TYPES:
            body = entry.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found[entry.name] = Asset(_TYPES[suffix], body, gzip.compress(body, mtime=0), tag)
    return found
