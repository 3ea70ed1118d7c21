"""The headers of a request as the server hands them over: names in small letters, nothing decoded."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["header"]


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes, default: str = "") -> str:
    """Return the first header of this name."""
    return next((value.decode("latin-1") for key, value in headers if key == name), default)
