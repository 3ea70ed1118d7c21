"""The one switch for connections: everything of the runtime that opens one asks here first.

Tests call `allow_only_loopback` (or set ``ICD_ALLOW_NETWORK=0``, which child processes inherit); then only
addresses of this machine are let through.
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from icd.errors import ConfigurationError

__all__ = [
    "MOST_BYTES",
    "allow_only_loopback",
    "check_address",
    "check_elsewhere",
    "check_url",
    "is_loopback",
]

MOST_BYTES = 64_000_000
"""Of one reply: far more than any answer, and little enough to keep in memory."""
VARIABLE = "ICD_ALLOW_NETWORK"


def allow_only_loopback() -> None:
    """Refuse connections to other machines from now on, in this process and its children."""
    os.environ[VARIABLE] = "0"


def check_address(base_url: str) -> None:
    """Check that an endpoint's address can be one.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        parts = urlsplit(base_url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise ConfigurationError(
            f"base_url is no http(s) address: {base_url!r}; write it like http://127.0.0.1:8000/v1"
        )


def check_url(url: str) -> None:
    """Let a connection to `url` through or refuse it.

    Raises:
        ConfigurationError: it leads to another machine and the switch forbids that.
    """
    if not is_loopback(url):
        check_elsewhere(urlsplit(url).hostname or url)


def check_elsewhere(host: str) -> None:
    """Let a connection to another machine through or refuse it; `host` may also be words.

    Raises:
        ConfigurationError: the switch forbids it.
    """
    if os.environ.get(VARIABLE, "1") == "0":
        raise ConfigurationError(
            f"{VARIABLE}=0 limits connections to this machine, and {host} is elsewhere: "
            f"unset {VARIABLE} to allow it"
        )


def is_loopback(url: str) -> bool:
    """Say whether `url` leads to this machine: ``localhost`` or a loopback address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
