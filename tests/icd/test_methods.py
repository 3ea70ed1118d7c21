"""The notation of methods: whatever way a method is written, it has one name, and the name says all about it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icd.benchmark.method_notation import READERS, read_varied, split_methods, with_setting, write_value
from icd.benchmark.methods import (
    MIXED,
    STANDARD,
    Details,
    MethodDefaults,
    applies,
    find_method,
    policy_method,
    standard_method,
)
from icd.cascade import Guards, Policy
from icd.errors import ConfigurationError
from icd.prompting import PromptSettings
from icd.runtime_settings import RuntimeSettings

DEFAULTS = MethodDefaults(k=3, demonstrations=200)

VALUES = {
    "k": st.sampled_from(["0", "1", "3", "6"]),
    "n": st.sampled_from(["1", "3", "5"]),
    "guards": st.sampled_from(
        ["none", "validity", "validity+progress", "progress + validity", "validity+progress+support:0.60"]
    ),
    "temperature": st.sampled_from(["0", "0.1", "0.10", "0.7"]),
    "retrieval": st.sampled_from(["step", "episode", "fixed"]),
    "window": st.sampled_from(["0", "5"]),
    "placement": st.sampled_from(["after_history", "before_history", "sticky"]),
    "adapt_names": st.sampled_from(["yes", "no", "true"]),
    "history": st.sampled_from(["all", "0", "4"]),
    "memory_size": st.sampled_from(["all", "20", "200", "500"]),
    "keys": st.sampled_from(["goal", "state+goal", "goal+category+plan+state"]),
    "embedder": st.sampled_from(["minilm", "hashing"]),
    "agreement": st.sampled_from(["exact", "intent"]),
    "copy_above": st.sampled_from(["never", "0.9"]),
    "record": st.sampled_from(["decisions", "full"]),
    "strategies": st.sampled_from(["0", "2", "global"]),
}
HEADS = st.sampled_from([
    *(name for name in STANDARD if name not in (MIXED, "student")), "unanimity(3)", "unanimity(5)", "majority(5, 0.6)",
])  # fmt: skip


@st.composite
def written(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A method with some settings."""
    head = draw(HEADS)
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=4))
    one_sample = head in ("in-context", "few-shot", "per-episode", "copy", "teacher")
    return head, [f"{name}={draw(VALUES[name])}" for name in names if not (one_sample and name == "n")]


def test_every_setting_is_tried() -> None:
    assert set(VALUES) == set(READERS)


@given(written(), st.randoms())
def test_a_name_reads_back_as_the_method_in_any_order(text: tuple[str, list[str]], random: object) -> None:
    head, settings = text
    method = find_method(f"{head}[{';'.join(settings)}]", DEFAULTS)
    assert find_method(method.name, DEFAULTS) == method
    both = {"retrieval", "placement"} <= {setting.split("=")[0] for setting in settings}
    if not both:
        assert find_method(f" {head} [ {' ; '.join(reversed(settings))} ]", DEFAULTS) == method


@given(written(), written())
def test_methods_that_decide_alike_have_one_name(
    one: tuple[str, list[str]], other: tuple[str, list[str]]
) -> None:
    first, second = (
        find_method(f"{head}[{';'.join(settings)}]", DEFAULTS) for head, settings in (one, other)
    )
    same = replace(first, name="", description="") == replace(second, name="", description="")
    assert same == (first.name == second.name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("student", "student"),
        ("Student[k=3]", "in-context"),
        ("in-context[k=0]", "student"),
        ("student[k=1]", "in-context[k=1]"),
        ("in-context[retrieval=episode]", "per-episode"),
        ("in-context[placement=sticky]", "per-episode"),
        ("per-episode[retrieval=fixed;k=1]", "few-shot[k=1]"),
        ("unanimity(3)", "cascade"),
        ("cascade[n=5]", "unanimity(5)"),
        ("cascade[k=0]", "cascade-only"),
        ("cascade-only[k=6]", "cascade[k=6]"),
        ("unanimity(5)[guards=none]", "unanimity(5)[guards=none]"),
        ("majority( 5 , .6 )", "majority(5,0.6)"),
        ("random(.30)", "random(0.3)"),
        ("cascade[placement=before_history;temperature=0.70]", "cascade[temperature=0.7;placement=before_history]"),
        ("in-context[temperature=0.1;memory_size=999]", "in-context"),
        ("in-context[keys=state+plan]", "in-context[keys=plan+state]"),
        ("teacher[temperature=0.9]", "teacher"),
        ("copy[window=2;memory_size=20]", "copy[memory_size=20]"),
    ],
)  # fmt: skip
def test_the_names(text: str, name: str) -> None:
    assert find_method(text, DEFAULTS).name == name


@pytest.mark.parametrize("name", STANDARD)
def test_standard_names_stay_their_own(name: str) -> None:
    assert find_method(name, DEFAULTS).name == name
    assert find_method(name, DEFAULTS).description == standard_method(name, DEFAULTS).description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("in-contxt", "did you mean 'in-context'"),
        ("in-context[temprature=1]", "did you mean 'temperature'"),
        ("cascade[guards=validty]", "did you mean 'validity'"),
        ("cascade[keys=goals]", "did you mean 'goal'"),
        ("cascade[retrieval=steps]", "did you mean 'step'"),
        ("cascade[k=two]", "whole number"),
        ("cascade[temperature=-1]", "at least 0"),
        ("in-context[n=3]", "draws one sample"),
        ("cascade[k]", "no setting=value"),
        ("cascade[k=1", "is not understood"),
        ("unanimous(3)", "no such policy"),
        ("random-at-cost[k=1]", "no settings of its own"),
        ("", "is not understood"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_method(text, DEFAULTS)


def test_settings_reach_the_runtime() -> None:
    base = RuntimeSettings(student_prompt=PromptSettings(excerpt_before=5, excerpt_after=5))
    text = "cascade[k=1;n=4;guards=support:0.5;temperature=0.9;window=2;placement=before_history;history=7]"
    found = find_method(text, DEFAULTS).settings(base)
    assert found.policy == Policy("unanimity", n=4)
    assert (found.k, found.guards, found.temperature) == (1, Guards(support=0.5), 0.9)
    shown = PromptSettings("before_history", 7, 2, 2)
    assert found.student_prompt == shown
    fixed = find_method("few-shot", DEFAULTS).settings(base).student_prompt
    assert fixed.placement == "sticky"
    assert fixed.excerpt_after > 1000


def test_an_unchanged_method_has_the_runs_own_settings() -> None:
    for prompt in (
        PromptSettings(excerpt_before=2, excerpt_after=2),
        PromptSettings("sticky", history_steps=0, excerpt_before=2, excerpt_after=2),
    ):
        base = RuntimeSettings(student_prompt=prompt, temperature=0.3)
        defaults = replace(DEFAULTS, details=Details.of(base))
        found = find_method("in-context", defaults).settings(base)
        assert replace(found, policy=base.policy, guards=base.guards, k=base.k) == base
        assert find_method("in-context", defaults).name == "in-context"


def test_a_policy_of_the_student_has_the_runs_demonstrations() -> None:
    assert policy_method("student", DEFAULTS).name == "in-context"
    assert policy_method("student[k=1]", DEFAULTS).name == "in-context[k=1]"
    assert policy_method("student", replace(DEFAULTS, k=0)).name == "student"


def test_lists_and_variations() -> None:
    listed = "student, majority(5, .6)[guards=none;k=1],cascade[keys=goal+state]"
    assert split_methods(listed) == (
        "student",
        "majority(5, .6)[guards=none;k=1]",
        "cascade[keys=goal+state]",
    )
    assert read_varied("k=1, 3") == ("k", ("1", "3"))
    assert with_setting("cascade", "k", "1") == "cascade[k=1]"
    assert with_setting("cascade[k=3;n=5]", "k", "1") == "cascade[n=5;k=1]"
    with pytest.raises(ConfigurationError, match="write setting=value"):
        read_varied("k")
    with pytest.raises(ConfigurationError, match="did you mean 'window'"):
        read_varied("windw=1")
    assert applies("k", "in-context", DEFAULTS)
    assert not applies("n", "in-context", DEFAULTS)
    assert applies("n", "cascade", DEFAULTS)
    assert not applies("k", "teacher", DEFAULTS)


@given(st.floats(0, 100))
def test_numbers_are_written_so_that_they_read_back(number: float) -> None:
    assert READERS["temperature"](write_value("temperature", number)) == number
