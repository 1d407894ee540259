"""Whom a request means to reach: the page answers no name that somebody else can have led here. Pure."""

from collections.abc import Collection
from ipaddress import ip_address

# Names that the public DNS does not give to anybody (RFC 6761, 6762, 8375; `internal` by ICANN, `svc` by Kubernetes).
_OUR_OWN_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa", ".svc")


class Hosts:
    """The names that are answered: `localhost`, addresses, those `named`, and on a network of ours what is only ours.

    A page of another site can let its own name point to an address here and then read what is there as if it were its
    own. Such a request carries that name, which has a dot; an address, `localhost` or `desk` no such page can have.
    Where `address` is this machine's own, nobody else has a reason to ask under a name, and none is taken.
    """

    def __init__(self, address: str, named: Collection[str] = ()) -> None:
        self._named = frozenset(name.lower().rstrip(".") for name in named)
        self._is_own = is_own(address)

    def takes(self, host: str | None) -> bool:
        """`host`: the header, with or without a port; what is not a browser may send none."""
        if host is None:
            return True
        name = _without_port(host.strip().lower()).rstrip(".")
        if name in self._named or name == "localhost" or _is_address(name):
            return True
        return not self._is_own and name != "" and ("." not in name or name.endswith(_OUR_OWN_ENDINGS))


def is_own(address: str) -> bool:
    """Can only this machine reach it?"""
    return address == "localhost" or (_is_address(address) and ip_address(address).is_loopback)


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
