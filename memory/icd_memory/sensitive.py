"""Finding secrets and personal data in text, by patterns and checksums. Pure functions.

Phone numbers are judged by `phonenumbers`, card and bank account numbers by `python-stdnum` (extra `redact`, part of
`server` and `langchain`). Names and street addresses are not found: that takes a model. Each pattern is tried only on
texts that hold one of its cues, so that ordinary text costs little.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import Literal, NamedTuple, get_args

from icd_memory.errors import RedactionMissingError

Kind = Literal[
    "email", "phone", "card", "iban", "ssn", "ip", "birth-date", "passport",
    "jwt", "private-key", "aws-key", "github-token", "slack-token", "api-key", "password",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

_KEPT = 20_000
"""Texts whose findings are kept: an agent sends its whole history again at every step."""
_KEPT_LONG = 1_000
"""The same for long ones, such as images, which are known by their digest only."""
_LONG = 50_000
"""Characters from which a text is long."""


class Span(NamedTuple):
    """Where something that must not be stored stands."""

    start: int
    end: int
    kind: Kind


class _Rule(NamedTuple):
    kind: Kind
    cues: tuple[str, ...]
    """One of them, in small letters, stands in every value or near it; none: a long number does."""
    pattern: re.Pattern[str]
    """Its group `value` is what is left out; else all of it."""
    accepts: Callable[[str], bool] = lambda value: True
    around: tuple[int, int] = (40, 200)
    """Characters before and after a cue that are looked at."""


def require_redaction() -> None:
    """Raise RedactionMissingError where the libraries that judge numbers are not installed."""
    _numbers()


def find_sensitive(text: str) -> tuple[Span, ...]:
    """Return what in a text is a secret or identifies a person, in order and apart from each other.

    Written escapes (``\\n`` in JSON) count as what they stand for, so JSON is read like plain text, and what is found
    never holds a quote: replaced, it stays JSON.

    Raises:
        RedactionMissingError: the extra `redact` is not installed.
    """
    return _kept(text) if len(text) < _LONG else _find_in_long(text)


def _find(text: str) -> tuple[Span, ...]:
    plain = _ESCAPE.sub("  ", text) if "\\" in text else text
    low = plain.lower() if plain.isascii() else plain.translate(_SMALL)
    cued = frozenset(cue for cue in _CUES if cue in low)
    numbers = [match.span() for match in _NUMBER.finditer(plain)] if _ANY_DIGIT.search(plain) else []
    if not cued and not numbers:
        return ()
    found: list[Span] = []
    for rule in _RULES:
        places = (
            numbers if not rule.cues else [at for cue in rule.cues if cue in cued for at in _places(cue, low)]
        )
        for start, end in _joined(places, *rule.around) if places else ():
            found += _fitting(rule, plain, start, end)
    return tuple(_apart(found)) if found else ()


_kept = lru_cache(_KEPT)(_find)
_kept_long: OrderedDict[bytes, tuple[Span, ...]] = OrderedDict()


def _find_in_long(text: str) -> tuple[Span, ...]:
    key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    found = _kept_long.get(key)
    if found is None:
        found = _kept_long[key] = _find(_BLOB.sub(lambda blob: "~" * len(blob[0]), text))
        while len(_kept_long) > _KEPT_LONG:
            _kept_long.popitem(last=False)
    return found


def _places(part: str, text: str) -> Iterator[tuple[int, int]]:
    at = text.find(part)
    while at >= 0:
        yield at, at + len(part)
        at = text.find(part, at + len(part))


def _joined(places: Iterable[tuple[int, int]], before: int, after: int) -> list[tuple[int, int]]:
    """Return the places with what stands around them, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(places):
        start, end = max(0, start - before), end + after
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _fitting(rule: _Rule, text: str, start: int, end: int) -> Iterator[Span]:
    named = "value" in rule.pattern.groupindex
    for match in rule.pattern.finditer(text, start, end):
        group = "value" if named else 0
        if rule.accepts(match[group]):
            yield Span(*match.span(group), rule.kind)


def _apart(found: list[Span]) -> Iterator[Span]:
    """Yield spans that don't overlap: of two the one of the rule that comes first."""
    taken: list[Span] = []
    for span in found:
        if all(span.end <= other.start or other.end <= span.start for other in taken):
            taken.append(span)
    yield from sorted(taken)


# What a pattern alone cannot tell


class _Numbers(NamedTuple):
    is_luhn: Callable[[str], bool]
    is_iban: Callable[[str], bool]
    is_ssn: Callable[[str], bool]
    is_phone: Callable[[str], bool]


@cache
def _numbers() -> _Numbers:
    try:
        import phonenumbers
        from stdnum import iban, luhn
        from stdnum.us import ssn
    except ImportError as error:
        raise RedactionMissingError(
            "redaction needs an extra: `pip install 'icd-runtime[redact]'`, or set redact = \"off\" under [memory]"
        ) from error

    def is_phone(text: str) -> bool:
        try:
            number = phonenumbers.parse(text, "US")
        except phonenumbers.NumberParseException:
            return False
        # With its country in front it is hardly anything else; numbers without are often something else.
        return (
            phonenumbers.is_possible_number(number)
            if text.startswith("+")
            else phonenumbers.is_valid_number(number)
        )

    return _Numbers(luhn.is_valid, iban.is_valid, ssn.is_valid, is_phone)


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text)
    return _ISSUED.fullmatch(digits) is not None and _numbers().is_luhn(digits)


def _is_iban(text: str) -> bool:
    return _numbers().is_iban(text)


def _is_ssn(text: str) -> bool:
    return _numbers().is_ssn(text)


def _is_phone(text: str) -> bool:
    return _numbers().is_phone(text)


def _is_public_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_random(text: str) -> bool:
    """Say whether a text looks drawn, not written: letters and digits, and many different ones."""
    return bool(_DIGIT.search(text) and _LETTER.search(text)) and len(set(text)) > len(text) // 4


def _is_password(text: str) -> bool:
    """Say whether what stands after "password:" is one, not a word about it or an expression that gives it."""
    if text.lower() in _NO_PASSWORDS or _EXPRESSION.match(text):
        return False
    return bool(_DIGIT.search(text) or re.search(r"[^\w\s]|[a-z][A-Z]", text))


def _is_quoted_password(text: str) -> bool:
    return text.lower() not in _NO_PASSWORDS and not text.startswith(("<", "{", "$"))


_ESCAPE = re.compile(r"""\\[nrt"\\/]""")
_BLOB = re.compile("[A-Za-z0-9+/=]{4096,}")
"""An image or another file, in which anything could be found."""
_DIGIT = re.compile("[0-9]")
_ANY_DIGIT = re.compile(r"\d")
_LETTER = re.compile("[A-Za-z]")
_NUMBER = re.compile(r"\d[\d ().A-Z-]{5,}")
"""Where a number may stand that is worth a look."""
_SMALL = {ord(big): ord(small) for big, small in zip(ascii_uppercase, ascii_lowercase, strict=True)}
"""One character for one, unlike `str.lower`: places must stay the same."""
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|35\d{14}"
)
"""Lengths and beginnings that card companies use."""
_NO_PASSWORDS = frozenset(
    re.split(
        " ",
        "string str text none null true false required optional password passwd hidden secret default unknown "
        "incorrect correct wrong invalid missing empty reset changed token value example placeholder",
    )
)
_EXPRESSION = re.compile(r"[A-Za-z_][\w.]*[\[(.]|[<{$\[(*]|[A-Za-z_]+$")
"""How code that gives a password begins; and a plain word."""


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_WORD = r"(?<![A-Za-z0-9_])"
_IS = r"""["']?\s*(?:[:=]|\bis\b:?)\s*"""
_PASS = r"(?:pass(?:word|wd|phrase|code)?|pwd|\bpin)"
_SAID = r"(?:phone|mobile|tel|telephone|cell|fax|call|ring|whatsapp|sms|reach)"
_RULES: tuple[_Rule, ...] = (
    _Rule(
        "private-key",
        ("private key",),
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[^\"-]*(?:-----END [A-Z0-9 ]*-----)?"),
        around=(40, 20_000),
    ),
    _Rule("jwt", ("eyj",), re.compile(r"(?<![\w.])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"), around=(2, 8_000)),
    _Rule("aws-key", ("akia", "asia"), re.compile(r"(?<![A-Z0-9])A[KS]IA[0-9A-Z]{16}(?![A-Z0-9])")),
    _Rule(
        "aws-key",
        ("aws",),
        _compiled(rf"aws.{{0,24}}?(?:secret|key){_IS}[\"']?(?P<value>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])"),
    ),
    _Rule(
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,})"),
    ),
    _Rule("slack-token", ("xox", "xapp-"), re.compile(r"(?<!\w)(?:xox[abeoprs]|xapp)-[\w-]{10,}")),
    _Rule(
        "slack-token",
        ("hooks.slack.com",),
        re.compile(r"https://hooks\.slack\.com/(?:services|workflows)/(?P<value>[\w/]{20,})"),
    ),
    _Rule(
        "api-key",
        (
            "sk-",
            "sk_",
            "rk_",
            "pk_",
            "aiza",
            "hf_",
            "glpat-",
            "npm_",
            "gsk_",
            "xai-",
            "sg.",
            "ya29.",
            "pypi-",
        ),
        re.compile(
            r"(?<![\w-])(?:sk-[\w-]{20,}|[srp]k_(?:live|test)_\w{16,}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,}"
            r"|glpat-[\w-]{20,}|npm_[A-Za-z0-9]{36}|gsk_\w{20,}|xai-\w{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
            r"|ya29\.[\w-]{20,}|pypi-[\w-]{40,})"
        ),
    ),
    _Rule(
        "api-key",
        ("key", "token", "secret", "bearer"),
        _compiled(
            r"(?:(?:api|access|auth|client|secret|signing|account)[ _-]?(?:key|token|secret)"
            rf"|(?<![A-Za-z])(?:token|secret)){_IS}[\"']?(?P<value>[\w/+=.~-]{{16,}})"
        ),
        _is_random,
    ),
    _Rule("api-key", ("bearer",), _compiled(rf"{_WORD}bearer\s+(?P<value>[\w/+=.~-]{{16,}})"), _is_random),
    _Rule(
        "password",
        ("://",),
        re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"']{0,100}:(?P<value>[^\s@/\"']{3,100})@"),
    ),
    _Rule(
        "password",
        ("pass", "pwd", "pin"),
        _compiled(rf"{_PASS}[\"']?\s*(?:[:=]|\bis\b:?)\s*[\"'`](?P<value>[^\s\"'`]{{4,100}})[\"'`]"),
        _is_quoted_password,
    ),
    _Rule(
        "password",
        ("pass", "pwd", "pin"),
        _compiled(rf"{_PASS}{_IS}(?P<value>[^\s\"'`,;]{{4,100}})(?<![.?)])"),
        _is_password,
    ),
    _Rule(
        "email",
        ("@",),
        re.compile(
            r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
        ),
        around=(70, 140),
    ),
    _Rule(
        "iban",
        (),
        re.compile(
            r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
        ),
        _is_iban,
    ),
    _Rule("card", (), re.compile(r"(?<![\d.-])\d(?:[ -]?\d){11,18}(?![\d-])"), _is_card),
    _Rule("ssn", (), re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"), _is_ssn),
    _Rule(
        "ssn",
        ("ssn", "social security"),
        _compiled(r"(?:ssn|social security)[^\d\"]{0,20}(?P<value>\d{3}[ -]?\d{2}[ -]?\d{4})(?!\d)"),
    ),
    _Rule(
        "passport",
        ("passport",),
        _compiled(r"passport[^\d\n]{0,24}?(?<![A-Z0-9])(?P<value>[A-Z]{0,2}\d[A-Z0-9]{6,8})(?!\w)"),
    ),
    _Rule(
        "birth-date",
        ("born", "birth", "dob"),
        _compiled(
            r"(?:\bborn|birth[ _-]?(?:date|day)?|date of birth|\bdob)\W{0,4}(?:on|is|=|:)?\W{0,4}(?P<value>"
            r"\d{4}-\d\d?-\d\d?|\d\d?[./-]\d\d?[./-]\d{2,4}|\d\d? [A-Z][a-z]{2,8},? \d{4}|[A-Z][a-z]{2,8} \d\d?,? \d{4})"
        ),
    ),
    _Rule("phone", (), re.compile(r"(?<![\w+])\+\d[\d ().-]{6,18}\d(?!\w)"), _is_phone),
    _Rule(
        "phone",
        (),
        re.compile(r"(?<![\w.-])(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])"),
        _is_phone,
    ),
    _Rule(
        "phone",
        ("phone", "mobile", "tel", "cell", "fax", "call", "ring", "whatsapp", "sms", "reach"),
        _compiled(
            rf"{_WORD}{_SAID}\b[^\d\"+]{{0,24}}(?P<value>\(?0\d[\d /().-]{{6,15}}\d|\d{{10}})(?![\w-])"
        ),
    ),
    _Rule("ip", (), re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)"), _is_public_address),
)
"""In the order of precedence."""
_CUES = tuple(dict.fromkeys(cue for rule in _RULES for cue in rule.cues))
