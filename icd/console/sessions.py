"""Who is signed in. Kept in this process: a restart signs everybody out. Knows nothing of HTTP."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Session", "Sessions", "SignInLink"]

_LONGEST = 12 * 3600.0
_IDLE = 3600.0
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in operator."""

    account: str
    """The id of the key; empty: by the link that was printed at the start."""
    tenant: str
    name: str
    """Shown, and written beside what is done."""
    csrf: str
    """What every form of this session has to bring."""


@dataclass(slots=True)
class _Open:
    session: Session
    until: float
    used: float
    said: str = ""
    """What the next page says."""


class Sessions:
    """The open sessions, by digests of their tokens. Safe for threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells seconds that never go back."""
        self._clock = clock
        self._open: OrderedDict[bytes, _Open] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, account: str, tenant: str, name: str) -> str:
        """Sign somebody in; return the token that their browser keeps."""
        token, now = secrets.token_urlsafe(32), self._clock()
        session = Session(account, tenant, name, secrets.token_urlsafe(32))
        with self._lock:
            self._open[_digest(token)] = _Open(session, now + _LONGEST, now)
            while len(self._open) > _MOST:
                self._open.popitem(last=False)
        return token

    def find(self, token: str) -> Session | None:
        """Return whose token this is; None: nobody's, or it has been too long."""
        key, now = _digest(token), self._clock()
        with self._lock:
            found = self._open.get(key)
            if found is None:
                return None
            if now > found.until or now - found.used > _IDLE:
                del self._open[key]
                return None
            found.used = now
            return found.session

    def say(self, token: str, words: str) -> None:
        """Have the next page of a session say something."""
        with self._lock:
            if (found := self._open.get(_digest(token))) is not None:
                found.said = words

    def said(self, token: str) -> str:
        """Return what is to be said, once; empty: nothing."""
        with self._lock:
            found = self._open.get(_digest(token))
            if found is None:
                return ""
            words, found.said = found.said, ""
            return words

    def close(self, token: str) -> None:
        """Sign somebody out."""
        with self._lock:
            self._open.pop(_digest(token), None)


class SignInLink:
    """A token that signs in once, such as is printed when the console starts."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.token = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._used = False

    def fits(self, token: str) -> bool:
        """Say whether this is the token, and it was not used."""
        return not self._used and hmac.compare_digest(_digest(token), _digest(self.token))

    def use(self, token: str) -> bool:
        """Use the token up; return whether it was right."""
        with self._lock:
            right = self.fits(token)
            self._used = self._used or right
            return right


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
