"""What is surely wrong with a target's address or token, known before anything is sent. Pure.

No sentence repeats the value: the address of a webhook is a secret as its token is. The sentences about addresses are
those with which a delivery would be refused (`alerter/sending.py`).
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

_TAKEN = {  # what each kind sends to, and with
    "slack": ("url", "api_origin", "token"),
    "telegram": ("api_origin", "token"),
    "discord": ("url", "api_origin", "token"),
    "teams": ("url",),
    "pagerduty": ("api_origin", "token"),
    "alertmanager": ("url", "token"),
    "webhook": ("url",),
}
NO_URL = "the address is not an http(s) URL"
NO_HTTP = "http is not used unless allow_private is set; write https"
PRIVATE = "the host is in a private network; set allow_private if that is meant"
_LIBRARY_REMOVES = re.compile(r"^[\x00-\x20]+|[\t\r\n]")  # whoever sends never sees these


def unusable(kind: object, values: Mapping[str, str], *, allow_private: bool) -> Iterator[tuple[str, str]]:
    """The keys whose values no delivery to this kind of target could use, each with what is wrong."""
    for key in _TAKEN.get(kind, ()) if isinstance(kind, str) else ():
        if key in values:
            wrong = wrong_token(values[key]) if key == "token" else wrong_address(values[key], allow_private)
            if wrong is not None:
                yield key, wrong


def wrong_address(address: str, allow_private: bool) -> str | None:
    """Why nothing could be sent to an address; None where that shows only when it is tried, as with names of hosts."""
    address = _LIBRARY_REMOVES.sub("", address)
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return NO_URL
    if not host or parts.scheme not in ("http", "https"):
        return NO_URL
    if " " in address or _has_control(address):
        return "the address has a space or a control character in it; write %20 for a space"
    if allow_private:
        return None
    if parts.scheme != "https":
        return NO_HTTP
    if _is_private(host):
        return PRIVATE
    return None


def wrong_token(token: str) -> str | None:
    """Why no chat could be given a token; None where only the chat can tell."""
    if _has_control(token):
        return "the token has a line break or another control character in it; write it without"
    return None


def _has_control(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)


def is_public(address: str) -> bool:
    """True for an address of the open internet, in figures."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global and not found.is_multicast


def _is_private(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # a name: known when it is looked up
    return not is_public(host)
