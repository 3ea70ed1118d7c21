"""Whether sampled actions are the same action: canonical forms and votes. Pure functions, no model, no I/O.

An action that cannot be read has no canonical form (None) and agrees with nothing, not even with another of its kind.
Equality is conservative: two different actions with one key would be trusted wrongly, two keys for one action only cost
a teacher's call. Whether an action is *allowed* is another question: `icd.chat.schemas`.
Source: exact match of the action text, arXiv 2512.02543 (ALFWorld); shares as in 2310.03094.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from icd.backends.base import Completion, JsonObject, ToolCall
from icd.canonical import canonical, dump, read_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Matrix: TypeAlias = "npt.NDArray[np.floating[Any]] | Sequence[Sequence[float]]"
"""Of n texts: n rows of n cosines."""

LONGEST_CODE = 100_000
"""Characters; the parser's stack is not ours to exhaust."""
NO_SCHEMAS: Mapping[str, JsonObject] = MappingProxyType({})


class Vote(NamedTuple):
    """The outcome of comparing samples."""

    key: str | None
    """Canonical form of the largest group; None if no sample could be read."""
    votes: int
    share: float
    """`votes` over all samples, unreadable ones included; 0 for no samples."""


def text_key(action: str) -> str | None:
    """Return the canonical form of a text action: case and spaces do not count; None for an empty one."""
    return " ".join(action.lower().split()).rstrip(". ") or None


def vote(keys: Sequence[str | None]) -> Vote:
    """Count equal samples. Does not depend on their order: of equally large groups the least key leads."""
    counts: dict[str, int] = {}
    for key in keys:
        if key is not None:
            counts[key] = counts.get(key, 0) + 1
    if not counts:
        return Vote(None, 0, 0.0)
    leader = min(counts, key=lambda k: (-counts[k], k))
    return Vote(leader, counts[leader], counts[leader] / len(keys))


def message_key(
    completion: Completion,
    schemas: Mapping[str, JsonObject] = NO_SCHEMAS,
    response_format: JsonObject | None = None,
) -> str | None:
    """Return the canonical form of a chat answer: ``calls:``, ``json:`` or ``text:`` and what follows.

    An answer with calls is what it calls; the text beside them does not count. One cut off by its limit is compared as
    far as it can be read: a cut text is a text, a cut call is usually not JSON.

    Args:
        completion: the answer.
        schemas: the tools' JSON schemas by name, for defaults and sets; see `calls_key`.
        response_format: of the request; the answer is JSON if it says so.
    """
    if completion.tool_calls:
        return _prefixed("calls:", calls_key(completion.tool_calls, schemas))
    if wants_json(response_format):
        return _prefixed("json:", json_key(completion.text, response_schema(response_format)))
    return _prefixed("text:", text_key(completion.text))


def _prefixed(prefix: str, key: str | None) -> str | None:
    return None if key is None else prefix + key


def wants_json(response_format: JsonObject | None) -> bool:
    """Whether OpenAI's ``response_format`` asks for JSON."""
    return (response_format or {}).get("type") in ("json_object", "json_schema")


def response_schema(response_format: JsonObject | None) -> JsonObject | None:
    """Return the schema that OpenAI's ``response_format`` carries, if any."""
    carrier = (response_format or {}).get("json_schema")
    schema = carrier.get("schema") if isinstance(carrier, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def calls_key(calls: Sequence[ToolCall], schemas: Mapping[str, JsonObject] = NO_SCHEMAS) -> str | None:
    """Return the canonical form of the calls of one answer; None without calls, or if one cannot be read.

    Calls that are made together have no order, and their ids do not count. Arguments are compared as `json_key` says.
    """
    if not calls:
        return None
    parts = []
    for call in calls:
        try:
            arguments = read_json(call.arguments)
            if not isinstance(arguments, dict):
                return None
            parts.append(f"[{dump(call.name)},{dump(canonical(arguments, schemas.get(call.name)))}]")
        except (ValueError, RecursionError):
            return None
    return f"[{','.join(sorted(parts))}]"


def json_key(text: str, schema: JsonObject | None = None) -> str | None:
    """Return the canonical form of a JSON text, alone or in one ```json fence; None if it is not JSON.

    Values are equal as `icd.canonical.canonical` says.
    """
    try:
        return dump(canonical(read_json(unfenced(text, "json")), schema))
    except (ValueError, RecursionError):
        return None


def python_key(code: str) -> str | None:
    """Return the canonical form of Python code, alone or in one ```python fence: its syntax tree.

    Comments, formatting and docstrings do not count; names do. None if it is not Python, empty, or too deep to read.
    """
    tree = python_tree(unfenced(code, "python", "py"))
    try:
        return None if tree is None else ast.dump(tree)
    except (RecursionError, MemoryError):
        return None


def python_tree(source: str) -> ast.Module | None:
    """Return the syntax tree of Python code without docstrings; None as in `python_key`."""
    if len(source) > LONGEST_CODE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the student's "\d" is not our warning
            tree = ast.parse(source)
        for node in ast.walk(tree):
            _normalize(node)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if tree.body else None


def _normalize(node: ast.AST) -> None:
    if isinstance(node, ast.Constant):
        node.kind = None
    elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        # A module that is one string is not documented by it: it is a value, as in an interactive session.
        if ast.get_docstring(node, clean=False) is not None and (
            len(node.body) > 1 or not isinstance(node, ast.Module)
        ):
            del node.body[0]
        if not node.body and not isinstance(node, ast.Module):
            node.body.append(ast.Pass())


def unfenced(text: str, *labels: str) -> str:
    """Return what the fence holds if the text is one Markdown fence, unlabelled or with such a label; else the text."""
    stripped = text.strip()
    first, newline, rest = stripped.partition("\n")
    if not newline or not first.startswith("```") or not rest.endswith("```"):
        return text
    body = rest[:-3]
    several = any(line.lstrip().startswith("```") for line in body.split("\n"))
    return body if first[3:].strip().lower() in ("", *labels) and not several else text


def text_groups(texts: Sequence[str], cosine: Matrix | None, least: float) -> list[str | None]:
    """Return a key for each text; texts that share one say the same.

    Texts with one `text_key` always do. Others do if every two of their group have a cosine of at least `least` and name
    the same numbers, which embeddings hardly see. Groups grow by joining the two whose least alike members are most alike
    (complete link), so nothing chains through a text in between; ties fall to the lesser texts, so that the order of the
    samples does not matter. One more sample can change the groups: give all of them each time.

    Args:
        texts: n samples; an empty one gets None.
        cosine: n x n similarities of their embeddings; None: only equal texts share a key.
        least: of the cosine.
    """
    keys = [text_key(text) for text in texts]
    if cosine is None:
        return list(keys)
    return joined_keys(keys, _links(keys, cosine, least))


def joined_keys(keys: Sequence[str | None], links: Mapping[tuple[str, str], float]) -> list[str | None]:
    """Return the keys with those of one group made the same: groups in which every two are linked.

    Args:
        keys: of samples.
        links: how alike two different keys are (lesser one first), for those that may share a group.
    """
    name = {key: key for key in keys if key is not None}
    while links:
        kept, joined = min(links, key=lambda pair: (-links[pair], pair))
        name = {key: kept if group == joined else group for key, group in name.items()}
        links = _joined(links, kept, joined)
    return [None if key is None else name[key] for key in keys]


def _links(keys: Sequence[str | None], cosine: Matrix, least: float) -> dict[tuple[str, str], float]:
    """Similarity of every two different keys (lesser first) that may share a group."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if key is not None:
            places[key].append(place)
    names = sorted(places)
    numbers = {key: _numbers(key) for key in names}
    links = {}
    for at, key in enumerate(names):
        for other in names[at + 1 :]:
            if numbers[key] == numbers[other]:
                values = [
                    float(cosine[a][b])
                    for i in places[key]
                    for j in places[other]
                    for a, b in ((i, j), (j, i))
                ]
                if all(value >= least for value in values):  # never true of NaN
                    links[key, other] = min(values)
    return links


def _joined(links: Mapping[tuple[str, str], float], kept: str, joined: str) -> dict[tuple[str, str], float]:
    """Links after `joined` became part of `kept`: a third group stays linked only if it was to both."""
    result = {pair: value for pair, value in links.items() if kept not in pair and joined not in pair}
    for pair, value in links.items():
        if kept in pair and joined not in pair:
            other = pair[0] if pair[1] == kept else pair[1]
            to_joined = links.get((min(other, joined), max(other, joined)))
            if to_joined is not None:
                result[pair] = min(value, to_joined)
    return result


def _numbers(text: str) -> frozenset[str]:
    return frozenset(found.rstrip(".,").replace(",", "") for found in re.findall(r"\d[\d.,]*", text))
