"""What is worked out from a message once: an agent sends its earlier turns with every call."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import NamedTuple

from icd.backends.base import Message, ToolCall
from icd.backends.openai_wire import message_json
from icd.canonical import dump
from icd_memory.schema import dump_json
from icd_memory.store import text_hash

_KEPT = 10_000


class Known(NamedTuple):
    """A message as it is recognised and stored."""

    fingerprint: bytes
    """32 bytes; what clients change when they send a turn back does not count."""
    hash: str
    """Of `text`: under it a receipt finds it."""
    text: str
    """Its JSON."""


def known(message: Message) -> Known:
    """Return what is known of a message."""
    # With JSON of its own it would be found as the same as another one: there, 1 equals true.
    return _worked_out(message) if message.parts or message.extra else _kept(message)


def _worked_out(message: Message) -> Known:
    calls = [[call.id, call.name, _arguments(call)] for call in message.tool_calls]
    turn = json.dumps([message.role, message.content.strip(), calls, message.tool_call_id])
    text = dump_json(message_json(message))
    return Known(hashlib.sha256(turn.encode()).digest(), text_hash(text), text)


_kept = lru_cache(_KEPT)(_worked_out)


def _arguments(call: ToolCall) -> str:
    try:
        return dump(json.loads(call.arguments or "{}"))
    except (ValueError, RecursionError):
        return call.arguments
