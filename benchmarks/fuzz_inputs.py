"""Inputs that are nearly right: valid ones with bytes flipped, cut off, repeated, and with hostile values put in.

Drawn by Hypothesis, so that the same seed gives the same inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

_DEEP = 20_000
_HOSTILE_BYTES: tuple[bytes, ...] = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",  # A lone surrogate in UTF-8.
    b'"\\ud800"',
    b'"\\u0000"',
    b"\r",
    b"\n\n",
    "\u2028\u202e\U0001f9ff".encode(),
    b"[" * _DEEP,
    b'{"a":' * _DEEP,
    b"(" * _DEEP,
    b"((" + b"(not " * _DEEP,
    b"9" * 5_000,
    b"1e999",
    b"-Infinity",
    b"NaN",
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"\\",
    b"#",
    b"## \n### When\n### Advice\n",
    b"x" * 100_000,
    b"a@" * 20_000,
    b"<email-1>",
)
"""Put between any two bytes."""
_HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    10**400,
    -(10**4_000),
    1e308,
    0.1,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\0",
    "\ud800",
    "a\udfff\0b",
    "9999-99-99T99:99:99",
    "0001-01-01T00:00:00+23:59",
    "../../../../etc/passwd",
    "<|im_start|>system",
    "x" * 100_000,
    "1 " * 20_000,
    "a@b." * 10_000,
    [],
    {},
    [[]],
    [None] * 1_000,
    {"": ""},
    {"\ud800": "\0"},
)
"""In the place of any value of a JSON document."""
_HOSTILE_TEXTS = tuple(value for value in _HOSTILE_VALUES if isinstance(value, str) and value)

Path = tuple[str | int, ...]


def damaged(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return valid inputs with one or two injuries, in bytes or, of JSON, in values."""
    documents = [sample for sample in samples if _documents(sample) is not None]
    injured = _in_bytes(samples)
    return st.one_of(injured, injured, _in_values(documents), _in_values(documents)) if documents else injured


@st.composite
def _in_bytes(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    data = draw(st.sampled_from(samples))
    for injure in draw(st.lists(st.sampled_from(_INJURIES), min_size=1, max_size=2)):
        data = injure(draw, data)
    return data


def _flip(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, max(0, len(data) - 1)))
    return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :] if data else data


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _leave_out(draw: st.DrawFn, data: bytes) -> bytes:
    start = draw(st.integers(0, len(data)))
    return data[:start] + data[start + draw(st.integers(1, 40)) :]


def _repeat(draw: st.DrawFn, data: bytes) -> bytes:
    start = draw(st.integers(0, len(data)))
    piece = data[start : start + draw(st.integers(1, 400))]
    return data[:start] + piece * draw(st.sampled_from((2, 3, 50))) + data[start:]


def _put_in(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.sampled_from(_HOSTILE_BYTES)) + data[at:]


_INJURIES: tuple[Callable[[st.DrawFn, bytes], bytes], ...] = (_flip, _cut, _leave_out, _repeat, _put_in)


@st.composite
def _in_values(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    lines = _documents(draw(st.sampled_from(samples))) or []
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(lines) - 1))
        place = draw(st.sampled_from(list(_places(lines[at]))))
        lines[at] = _changed(lines[at], place, draw(st.sampled_from(_CHANGES)), draw)
    escaped = draw(st.booleans())
    texts = [json.dumps(line, ensure_ascii=escaped) for line in lines]
    if draw(st.booleans()) and texts[0].startswith("{") and len(texts[0]) > 2:
        texts[0] = "{" + texts[0][1:].partition(",")[0].rstrip("}") + "," + texts[0][1:]
    return "\n".join(texts).encode("utf-8", "surrogatepass")


def _changed(document: Any, place: Path, change: str, draw: st.DrawFn) -> Any:
    """Return the document with the value at a place replaced, left out, wrapped, or given to another name."""
    if not place:
        return deepcopy(draw(st.sampled_from(_HOSTILE_VALUES))) if change == "replace" else [document]
    holder = document
    for part in place[:-1]:
        holder = holder[part]
    key = place[-1]
    match change:
        case "replace":
            alike = [value for value in _HOSTILE_VALUES if type(value) is type(holder[key])]
            wanted = alike if alike and draw(st.booleans()) else _HOSTILE_VALUES
            holder[key] = deepcopy(draw(st.sampled_from(wanted)))
        case "spoil" if isinstance(holder[key], str):
            at = draw(st.integers(0, len(holder[key])))
            holder[key] = holder[key][:at] + draw(st.sampled_from(_HOSTILE_TEXTS)) + holder[key][at:]
        case "leave out":
            del holder[key]
        case "wrap":
            holder[key] = [holder[key], holder[key]]
        case "deepen":
            holder[key] = _deep(draw(st.sampled_from((100, 300, 900))))
        case "rename" if isinstance(key, str):
            holder[draw(st.text(max_size=5))] = holder.pop(key)
    return document


_CHANGES = ("replace", "replace", "spoil", "spoil", "leave out", "wrap", "deepen", "rename")


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def _documents(sample: bytes) -> list[Any] | None:
    """Return the JSON documents of a sample, one a line; None if it is no such thing."""
    try:
        return [json.loads(line) for line in sample.split(b"\n") if line.strip()] or None
    except ValueError:
        return None


def _places(value: Any, here: Path = ()) -> Iterator[Path]:
    """Yield where each value of a document stands."""
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*here, key))
