"""The quick ways of the screens find the same as the plain ones."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from icd_memory.lookalikes import Lookalikes, triples
from icd_memory.screening import AIMED, may_be_aimed
from icd_memory.strategy_admission import folded
from icd_memory.substrings import Substrings

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "E", "7", "\u00e9", "x_y"]), max_size=12).map(" ".join)


def plain_triples(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"[^\W\d]+", text.lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False))


@settings(max_examples=300, deadline=None)
@given(st.one_of([st.from_regex(pattern) for pattern in AIMED]))
def test_no_text_that_is_aimed_at_the_model_lacks_the_cues(text: str) -> None:
    assert may_be_aimed(text)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=40), WORDS)
def test_lookalikes_are_counted_as_by_sets(others: list[str], mine: str) -> None:
    known = Lookalikes()
    for other in others:
        known.add(triples([other]))
    own = plain_triples(mine)
    alike = [o for o in map(plain_triples, others) if len(own & o) >= 0.6 * len(own | o)]
    assert known.count(triples([mine])) == len(alike)
    assert len(triples([mine])) == len(own)


def test_a_text_longer_than_the_powers_that_are_kept_has_the_same_triples() -> None:
    """Each word of a long text is worth what it is worth at the beginning of a short one."""
    long = "one two three four " * 20_000
    assert list(triples([long])) == list(triples(["one two three four one two"]))


@given(st.lists(st.text("abc<\u00e9", min_size=1), min_size=1), st.text("abc<\u00e9"))
def test_substrings_are_those_that_the_text_holds(wanted: list[str], text: str) -> None:
    assert Substrings(wanted).held_by(text) == {one for one in wanted if one in text}


@given(st.lists(st.text()))
def test_texts_are_folded_together_as_one_by_one(texts: list[str]) -> None:
    assert folded("\n".join(texts)) == "\n".join(map(folded, texts))


@given(st.text())
def test_a_text_is_folded_as_character_by_character(text: str) -> None:
    hidden = ("Cf", "Cc", "Co", "Cs", "Cn")
    seen = "".join(c for c in text if c in "\n\t\r" or unicodedata.category(c) not in hidden)
    decomposed = unicodedata.normalize("NFKD", seen.replace("\u2019", "'"))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    assert folded(text) == re.sub(r"[^\S\n]+", " ", bare.lower().replace("\r", "\n"))
