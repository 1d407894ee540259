"""Where to connect: the documented address, or another origin with the same path, and the proxy to go through."""

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

_WEBSOCKET = {"http": "ws", "https": "wss"}
_PROXY_SCHEME = {"ws": "http", "wss": "https"}


def moved(url: str, origin: str | None, *, websocket: bool = False) -> str:
    """`url` with the scheme, host and port of `origin`; path and query stay."""
    if not origin:
        return url
    old, new = urlsplit(url), urlsplit(origin)
    scheme = _WEBSOCKET.get(new.scheme, new.scheme) if websocket else new.scheme
    return urlunsplit((scheme, new.netloc, old.path, old.query, ""))


def proxy_for(url: str) -> str | None:
    """The proxy that the environment asks for; none for this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(_PROXY_SCHEME.get(parts.scheme, parts.scheme))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
