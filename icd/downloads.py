"""A file over https: resumed after an interruption, checked, and under its name only when it is whole."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from icd.backends.network import check_url
from icd.errors import ModelFilesError

__all__ = ["download", "sha256_of"]

_BLOCK = 1 << 20
_SECONDS_WITHOUT_DATA = 60.0
_HASH_HEADER = "X-Linked-Etag"
"""The hub's sha256 of the file, sent with the redirection to its store."""


def download(
    url: str, target: Path, sha256: str | None = None, say: Callable[[str], None] | None = None
) -> Path:
    """Fetch `url` to `target` and return it.

    What an earlier try left in ``<target>.part`` is kept and continued. `sha256` None: as the hub states it.

    Raises:
        ModelFilesError: not reachable, refused, broken off, no room, or not what it should be.
        ConfigurationError: the network switch forbids it.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        stated = _fetch(url, part, say)
        expected, found = sha256 or stated, sha256_of(part)
        if expected is None or found != expected:
            part.unlink()
            reason = f"has sha256 {found}, not {expected}" if expected else "comes without a sha256 to check"
            raise ModelFilesError(f"{url} {reason}: nothing was kept")
        part.replace(target)
    except urllib.error.HTTPError as error:
        error.close()
        raise ModelFilesError(f"{url} answered {error.code} {error.reason}: is the name right?") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise ModelFilesError(
            f"{url} cannot be fetched ({error}): check the connection and run the same command again, it "
            f"goes on where it was; or download the file elsewhere and put it at {target}"
        ) from error
    except OSError as error:
        raise ModelFilesError(f"can't write {target}: {error.strerror or error}") from error
    return target


def _fetch(url: str, part: Path, say: Callable[[str], None] | None) -> str | None:
    """Bring `part` to full length; return the sha256 that the hub states."""
    check_url(url)
    have = part.stat().st_size if part.exists() else 0
    redirects = _Redirects()
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        reply = urllib.request.build_opener(redirects).open(request, timeout=_SECONDS_WITHOUT_DATA)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        return redirects.sha256  # nothing is missing
    with reply:
        redirects.note(reply.headers)
        resumed = reply.status == 206
        total = int(reply.headers.get("Content-Length") or 0) + (have if resumed else 0)
        with part.open("ab" if resumed else "wb") as out:
            _copy(reply, out, part.name.removesuffix(".part"), total, say)
            out.flush()
            os.fsync(out.fileno())
    return redirects.sha256


def _copy(reply: IO[bytes], out: IO[bytes], name: str, total: int, say: Callable[[str], None] | None) -> None:
    told = -1
    while block := reply.read(_BLOCK):
        out.write(block)
        twentieths = 20 * out.tell() // total if total else 0
        if say is not None and twentieths != told:
            told = twentieths
            say(f"{name}: {out.tell() / 1e6:.0f} of {total / 1e6:.0f} MB")
    if total and out.tell() < total:
        raise ConnectionError(f"it broke off after {out.tell()} of {total} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Asks the network switch before each hop, and notes the sha256 that one of them states."""

    def __init__(self) -> None:
        self.sha256: str | None = None

    def note(self, headers: Message) -> None:
        value = (headers.get(_HASH_HEADER) or "").strip('"')
        if len(value) == 64:
            self.sha256 = value

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        check_url(newurl)
        self.note(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
