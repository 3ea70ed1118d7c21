"""What the server logs of a request: ids and figures, never what anybody wrote. Plain lines, or one JSON object a line.

Requests and decisions are told at level info. A request's id is its header ``X-Request-ID``, else a new one; receipt ids
stand in traces too, and lead from a log line to the receipt.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from icd.chat.call import ChatAnswer
from icd.serving.request_headers import header

__all__ = ["JsonLines", "begin", "configure", "decided", "finished"]

_log = logging.getLogger("icd.serving.log")
_LONGEST_ID = 100
_request_id: ContextVar[str] = ContextVar("icd-request-id", default="")


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, the request's id, and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        """Write it."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := _request_id.get():
            line["request_id"] = request
        line.update(getattr(record, "icd", {}))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, *, as_json: bool) -> None:
    """Let this process log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if as_json else plain)
    logging.basicConfig(level=level.upper(), handlers=[handler])


def begin(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Name the request whose task this is."""
    if not _log.isEnabledFor(logging.INFO):
        return
    given = header(headers, b"x-request-id")
    usable = given.isascii() and given.isprintable() and 0 < len(given) <= _LONGEST_ID
    _request_id.set(given if usable else uuid4().hex)


def decided(answer: ChatAnswer) -> None:
    """Tell of a decision."""
    if not _log.isEnabledFor(logging.INFO):
        return
    decision = answer.decision
    told = {
        "receipt_id": decision.receipt_id,
        "episode_id": answer.episode_id,
        "step": answer.step,
        "acted_by": decision.acted_by,
        "reason": decision.reason,
        "model": answer.model,
        "cost_usd": round(decision.cost, 9),
        "overhead_ms": round(answer.overhead * 1000, 3),
    }
    _tell("decided", told)


def finished(method: str, route: str, status: int, seconds: float) -> None:
    """Tell of a request; `route` is a pattern."""
    if _log.isEnabledFor(logging.INFO):
        _tell("request", {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 3)})


def _tell(what: str, told: dict[str, Any]) -> None:
    shown = {"request_id": _request_id.get(), **told}
    words = " ".join(f"{name}={value}" for name, value in shown.items())
    _log.info("%s %s", what, words, extra={"icd": {"event": what, **shown}})
