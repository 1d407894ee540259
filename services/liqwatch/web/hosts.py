"""Whom a request means to reach: a page on this machine answers no name that somebody else has led here. Pure."""

from collections.abc import Collection
from ipaddress import ip_address


class Hosts:
    """The names that are answered: `named` ones, and without those any, unless `address` is this machine's own.

    A page of another site can let its own name point to 127.0.0.1 and then read what is there as if it were its own.
    Such a request carries that name; an address or `localhost` no such page can have.
    """

    def __init__(self, address: str, named: Collection[str] = ()) -> None:
        self._named = frozenset(name.lower() for name in named)
        self._guarded = bool(named) or _is_own(address)

    def takes(self, host: str | None) -> bool:
        """`host`: the header, with or without a port; what is not a browser may send none."""
        if host is None or not self._guarded:
            return True
        name = _without_port(host.strip().lower())
        return name in self._named or name == "localhost" or _is_address(name)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_own(address: str) -> bool:
    return address == "localhost" or (_is_address(address) and ip_address(address).is_loopback)
