"""Secrets and personal data before storing."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import trajectory

from icd_memory.embedding import HashingEmbedder
from icd_memory.redaction import Placeholders, placeholders_in, redacted, sent_placeholders
from icd_memory.retrieval import Memory
from icd_memory.sensitive import KINDS, find_sensitive
from icd_memory.store import Store
from icd_memory.trajectory import Step

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from trust_labelled import labelled_set

EMAIL = "ana.lopez@example.com"


def test_recall_on_the_labelled_set() -> None:
    labelled = labelled_set(500, seed=1)
    assert {one.kind for one in labelled} == set(KINDS)
    left = [one for one in labelled if one.value in Placeholders().redact(one.text)]
    assert len(left) <= 0.02 * len(labelled), left


@pytest.mark.parametrize(
    "text",
    [
        "put 2 cds in safe 1, then look at 10.5 cm of shelf 12",
        "order 4417-2231, placed on 2026-03-04 at 10:42:07",
        "The password is incorrect. Passwords must have a digit.",
        'login(username=user["email"], password=passwords["venmo"])',
        '{"password": {"type": "string"}, "api_key": "string"}',
        "def token(secret: str) -> None: ...",
        "pip install numpy==1.26.4 on 127.0.0.1 or 192.168.0.12",
        "id 1234567890123456 of episode 019a3f2b9c7d4e5f8a6b7c8d9e0f1a2b",
        "call 3 times, the ring was 200 euros, telephone poles",
        "born in Lyon; the birth of a nation, 3 passports",
        "@decorator\ndef f(): ...  # see docs@latest",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert find_sensitive(text) == ()


def test_placeholders_are_consistent_and_typed() -> None:
    names = Placeholders()
    assert names.redact(f"Write to {EMAIL} and bob@example.com") == "Write to <email-1> and <email-2>"
    assert names.redact(f"{EMAIL.upper()} answered") == "<email-1> answered"
    assert names.redact("card 4111 1111 1111 1111, or 4111-1111-1111-1111") == "card <card-1>, or <card-1>"
    assert names.redact("nothing here") == "nothing here"
    assert Placeholders().redact("bob@example.com") == "<email-1>"


def test_a_trajectory_keeps_what_connects_its_steps() -> None:
    steps = (
        Step(
            f"From {EMAIL}: call me", f'reply(to="{EMAIL}")', f"{EMAIL} wants a call", view=f"mail of {EMAIL}"
        ),
        Step("sent", "done()"),
    )
    found = redacted(replace(trajectory(), goal=f"Answer {EMAIL}", steps=steps))
    assert found.goal == "Answer <email-1>"
    assert found.steps[0] == Step(
        "From <email-1>: call me", 'reply(to="<email-1>")', "<email-1> wants a call", view="mail of <email-1>"
    )
    assert found.steps[1] is not None
    assert redacted(found) is found


@given(st.lists(st.sampled_from([*(one.text for one in labelled_set(60)), "plain", "<email-1>"]), max_size=5))
@example(["postgresql://app:Kaffee-blue-41@db.internal:5432/app"])
def test_what_is_redacted_has_nothing_left_and_json_stays_json(texts: list[str]) -> None:
    names = Placeholders()
    written = json.dumps({"texts": texts}, ensure_ascii=False)
    once = names.redact(written)
    json.loads(once)
    assert names.redact(once) == once


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    spans = find_sensitive(text)
    assert all(0 <= a.start < a.end <= len(text) for a in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@pytest.mark.parametrize(
    "piece",
    ["1 ", "a.", "1", "password ", "AA11 A1B2 ", "eyJ", "aws ", "@", "+1 ", "-----BEGIN PRIVATE KEY-----"],
)
def test_hostile_text_takes_no_time(piece: str) -> None:
    started = time.process_time()
    find_sensitive(piece * (40_000 // len(piece)))
    assert time.process_time() - started < 2


def test_a_memory_redacts_only_where_it_is_asked_to() -> None:
    t = replace(trajectory(), goal=f"Answer {EMAIL}")
    for redact in (True, False):
        with Store.open(":memory:") as store:
            memory = Memory.open(store, HashingEmbedder(), redact=redact)
            memory.add(t)
            assert (store.trajectory(t.id).goal == "Answer <email-1>") == redact


def test_a_placeholder_is_never_sent() -> None:
    assert placeholders_in("to <email-1> and <nobody-1>") == {"<email-1>"}
    assert sent_placeholders('send(to="<email-1>")', ["Answer bob@example.com"]) == ["<email-1>"]
    assert sent_placeholders('send(to="<email-1>")', ["what does <email-1> mean?"]) == []
