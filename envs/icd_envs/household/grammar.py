"""The text grammar of a game: how its actions are commanded and what is answered, read from text into
symbols.

A document holds blocks: ``action NAME { template :: "..."; feedback :: "..."; grammar :: triple-quoted JSON;
}`` and ``grammar :: triple-quoted JSON;``. The JSON maps a symbol to its rules, each with a text (``rhs``)
and possibly a condition. A text mixes plain words, ``#symbol#``, ``{expression | condition}`` and ``[{item |
condition}]``; what cannot be read ends it, as in the published format. Nothing is looked up here: see
`wording`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from icd_envs.errors import GameFileError


@dataclass(frozen=True, slots=True)
class Words:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol to be replaced by one of its rules."""

    name: str


@dataclass(frozen=True, slots=True)
class Expression:
    """Names, attributes and words, such as ``o.indefinite + ' ' + o.name``."""

    source: str


@dataclass(frozen=True, slots=True)
class Each:
    """An expression or symbol, once for each solution of a condition, or once where there is none."""

    item: Symbol | Expression
    given: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What `Each` gives, with the separators of the grammar between."""

    each: Each


Piece: TypeAlias = Words | Symbol | Each | Listing


@dataclass(frozen=True, slots=True)
class Rule:
    """A text for a symbol; applies where its condition has a solution."""

    pieces: tuple[Piece, ...]
    condition: str = ""


@dataclass(frozen=True, slots=True)
class ActionText:
    """How an action is commanded, and the text that answers it."""

    template: tuple[Piece, ...]
    feedback: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Everything that a game can say."""

    rules: Mapping[str, tuple[Rule, ...]]
    actions: Mapping[str, ActionText]
    """By the action's name in lower case."""


_BLANK = re.compile(r"(?:\s|\#[^\n]*)*")
_BLOCK = re.compile(r'"""((?:.|\n)*?)"""')
_STRING = re.compile(r'"([^"]*)"')
_NAME = re.compile(r"[\w/-]+")

# The pieces of a text. Blanks and `//` comments at the start of a line do not count, nor do tabs.
_SKIP = re.compile(r"(?:\t+|^(?://.*|\s+)\n?)*", re.MULTILINE)
_WORDS = re.compile(r'[^;|"<>\[\]#{}]+')
_QUOTED = re.compile(r'"([^;|"<>\[\]#{}]*)"')
_SYMBOL = re.compile(r"#([\w()/!<>\-\s,.]+)#")
_EACH = re.compile(
    r"\{\t*(?:#(?P<symbol>[\w()/!<>\-\s,.]+)#|(?P<expression>[^|\[\]{}\n<>]+))"
    r"(?:\s*\|\s*(?P<given>[^;|{}\n\[\]#]+))?\t*\}"
)


def parse_grammar(text: str) -> Grammar:
    """Read a grammar document. Raises `GameFileError`."""
    rules: dict[str, tuple[Rule, ...]] = {}
    actions: dict[str, ActionText] = {}
    cursor = _Cursor(text)
    while not cursor.at_end():
        if cursor.takes("grammar"):
            rules.update(_parse_rules(cursor.field(_BLOCK)))
        elif cursor.takes("action"):
            name = cursor.match(_NAME, "a name")
            fields = dict(_action_fields(cursor))
            if "grammar" in fields:
                rules.update(_parse_rules(fields["grammar"]))
            try:
                template, feedback = fields["template"], fields["feedback"]
            except KeyError as missing:
                raise GameFileError(f"action {name!r} of the text grammar has no {missing}") from None
            actions[name.lower()] = ActionText(parse_text(template), parse_text(feedback))
        else:
            raise cursor.error("'action' or 'grammar'")
    return Grammar(rules, actions)


def task_sentence(text: str) -> str:
    """Return what a grammar document says about the task, without its introduction up to a colon."""
    rules = parse_grammar(text).rules.get("task", ())
    words = "".join(piece.text for rule in rules[:1] for piece in rule.pieces if isinstance(piece, Words))
    introduction, colon, sentence = words.partition(":")
    return (sentence if colon else introduction).strip()


@lru_cache(maxsize=4096)
def parse_text(text: str) -> tuple[Piece, ...]:
    """Read a text into its pieces, up to the first character that cannot be read."""
    pieces: list[Piece] = []
    position = 0
    while True:
        position = _skip(text, position)
        if (found := _SYMBOL.match(text, position)) is not None:
            pieces.append(Symbol(found[1]))
        elif (found := _EACH.match(text, position)) is not None:
            pieces.append(_each(found))
        elif (found := _listing(text, position)) is not None:
            pieces.append(Listing(_each(found)))
        elif (found := _QUOTED.match(text, position)) is not None:
            pieces.append(Words(_unescape(found[1])))
        elif (found := _WORDS.match(text, position)) is not None:
            pieces.append(Words(_unescape(found[0])))
        else:
            return tuple(pieces)
        position = found.end()
        if isinstance(pieces[-1], Listing):
            position = _skip(text, position) + 1


def _listing(text: str, position: int) -> re.Match[str] | None:
    if not text.startswith("[", position):
        return None
    found = _EACH.match(text, _skip(text, position + 1))
    return found if found is not None and text.startswith("]", _skip(text, found.end())) else None


def _each(found: re.Match[str]) -> Each:
    given = found["given"] or ""
    if found["symbol"] is not None:
        return Each(Symbol(found["symbol"]), given)
    return Each(Expression(found["expression"].strip()), given)


def _skip(text: str, position: int) -> int:
    found = _SKIP.match(text, position)
    return position if found is None else found.end()


def _unescape(text: str) -> str:
    return text.replace("\\n", "\n")


def _action_fields(cursor: _Cursor) -> Iterator[tuple[str, str]]:
    cursor.expect("{")
    while not cursor.takes("}"):
        for name in ("template", "feedback"):
            if cursor.takes(name):
                yield name, cursor.field(_STRING)
                break
        else:
            if cursor.takes("pddl"):
                yield "pddl", cursor.field(_BLOCK)
            elif cursor.takes("grammar"):
                block = cursor.field(_BLOCK)
                lines = (line for line in block.split("\n") if not line.lstrip().startswith("#"))
                yield "grammar", "\n".join(lines)
            else:
                raise cursor.error("'template', 'feedback', 'pddl', 'grammar' or '}'")


@lru_cache(maxsize=256)
def _parse_rules(block: str) -> Mapping[str, tuple[Rule, ...]]:
    try:
        data = json.loads(block)
        return {
            name: tuple(Rule(parse_text(rule["rhs"]), rule.get("condition", "")) for rule in rules)
            for name, rules in data.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GameFileError(f"a grammar block of the game is not a table of rules: {error!r}") from error


class _Cursor:
    """A position in a grammar document, past blanks and comments."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._advance(0)

    def at_end(self) -> bool:
        return self._position == len(self._text)

    def takes(self, word: str) -> bool:
        if not self._text.startswith(word, self._position):
            return False
        self._advance(self._position + len(word))
        return True

    def expect(self, word: str) -> None:
        if not self.takes(word):
            raise self.error(repr(word))

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._position)
        if found is None:
            raise self.error(what)
        self._advance(found.end())
        return found[found.re.groups]

    def field(self, pattern: re.Pattern[str]) -> str:
        self.expect("::")
        value = self.match(pattern, "a quoted text")
        self.expect(";")
        return value

    def error(self, wanted: str) -> GameFileError:
        line = self._text.count("\n", 0, self._position) + 1
        found = self._text[self._position : self._position + 20]
        return GameFileError(f"text grammar, line {line}: expected {wanted}, found {found!r}")

    def _advance(self, position: int) -> None:
        blank = _BLANK.match(self._text, position)
        self._position = position if blank is None else blank.end()
