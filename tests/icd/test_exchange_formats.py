"""Every format of trajectories: what it holds comes back, what it cannot hold is declared, and files are recognised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import NOW, trajectory

from icd.backends.base import ToolCall
from icd.chat.action import action_of
from icd.errors import ConfigurationError
from icd.exchange import FORMATS, exchange_format, read_file, write_file
from icd.exchange.format import FIELDS, Format
from icd.exchange.formats import detected, loss_table
from icd.exchange.messages import split_outputs
from icd_memory.trajectory import Actor, Outcome, Provenance, Step, Trajectory

ROOT = Path(__file__).parents[2]
WRITTEN = [name for name in FORMATS if exchange_format(name).write is not None]
ijson = pytest.importorskip("ijson")


def fields(t: Trajectory) -> dict[str, Any]:
    """All that a trajectory consists of, by the names of `FIELDS`."""
    found: dict[str, Any] = {}
    for name in FIELDS:
        first, _, second = name.partition(".")
        if first == "steps":
            found[name] = [getattr(step, second) for step in t.steps]
        elif second:
            found[name] = getattr(t.provenance, second)
        else:
            found[name] = getattr(t, first)
    return found


def round_trip(made: list[Trajectory], kind: Format, path: Path) -> list[Trajectory]:
    write_file(path, made, include_unpublishable=kind.keeps_mark, kind=kind)
    return list(read_file(path, kind))


CALLS = action_of("", (ToolCall("a", "find", '{"q": "ann"}'), ToolCall("b", "count", "[1, 2]"))).text
AGENT = replace(
    trajectory("agent", goal="count the mails of ann", category="agent-0123", plan=""),
    environment="chat",
    steps=(
        Step("count the mails of ann", CALLS, "I have to look first."),
        Step("find: two\ncount: 2\nof them", action_of("", (ToolCall("a", "find", "{}"),)).text),
        Step("find: nothing", "There are two.", actor="student"),
    ),
)
RICH = replace(
    trajectory("rich"),
    tenant="acme",
    outcome=Outcome(False, 0.25, "feedback"),
    notes={"a": "b"},
    steps=(
        Step("a room", "look", "I should look.", "here: a room", "student", 0.5),
        Step("a box", "", "", "", "random"),
        Step("", "take", "", "", "copy"),
    ),
)
SAMPLES = [
    AGENT,
    RICH,
    trajectory("plain"),
    replace(trajectory("empty"), steps=()),
    replace(trajectory("same"), goal="go", steps=(Step("go", "north"),)),
    replace(
        trajectory("like ours"), steps=(Step("Task: x", '{"tool_calls": []}', "{"), Step("icd_act: x", "y"))
    ),
    replace(trajectory("surrogate"), goal="a \ud800 b", plan="\0"),
]


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_format_holds_comes_back(name: str, tmp_path: Path) -> None:
    kind = exchange_format(name)
    back = round_trip(SAMPLES, kind, tmp_path / "out.jsonl")
    assert len(back) == len(SAMPLES)
    for before, after in zip(SAMPLES, back, strict=True):
        held, found = fields(before), fields(after)
        for field in FIELDS:
            if field not in kind.loses:
                assert found[field] == held[field], (before.id, field)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_declared_as_lost_is_lost(name: str, tmp_path: Path) -> None:
    kind = exchange_format(name)
    assert set(kind.loses) <= set(FIELDS)
    marked = replace(RICH, provenance=Provenance("tests", "expert", NOW, "secret"))
    if not kind.keeps_mark:
        with pytest.raises(ConfigurationError, match="cannot say so: write own or atif"):
            write_file(tmp_path / "out.jsonl", [marked], include_unpublishable=True, kind=kind)
        assert not (tmp_path / "out.jsonl").exists()
    back = round_trip([RICH, AGENT], kind, tmp_path / "out.jsonl")
    differ = {
        field
        for before, after in zip([RICH, AGENT], back, strict=True)
        for field in FIELDS
        if fields(before)[field] != fields(after)[field]
    }
    assert differ == set(kind.loses) - {"provenance.restriction"}


TEXTS = st.text(max_size=20) | st.sampled_from(["icd_act: x", "Task: y", "\n", "find: a\nfind: b", "{", " "])
NAMES = st.sampled_from(["find", "count", "icd_act", "a b"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
CALLED = st.lists(st.builds(ToolCall, st.just(""), NAMES, JSON.map(json.dumps)), min_size=1, max_size=3).map(
    lambda calls: action_of("", calls).text
)
STEPS = st.lists(
    st.builds(Step, TEXTS, TEXTS | CALLED, TEXTS, TEXTS, st.sampled_from(get_args(Actor)), st.floats(-1, 1)),
    max_size=4,
).map(tuple)
TRAJECTORIES = st.builds(
    Trajectory,
    id=st.text(min_size=1, max_size=5),
    environment=st.sampled_from(["chat", "household"]),
    task_id=TEXTS, instance=TEXTS, split=st.sampled_from(["train", "live"]), goal=TEXTS, category=TEXTS, plan=TEXTS,
    steps=STEPS,
    outcome=st.none() | st.builds(
        Outcome, st.booleans(), st.floats(0, 1), st.sampled_from([None, "environment", "feedback"])
    ),
    provenance=st.builds(
        Provenance, TEXTS, TEXTS, st.datetimes(timezones=st.just(UTC)), st.just("")
    ),
    tenant=st.sampled_from(["default", "acme"]),
    notes=st.dictionaries(TEXTS, TEXTS, max_size=2),
)  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=TRAJECTORIES)
def test_any_trajectory_comes_back(name: str, tmp_path: Path, made: Trajectory) -> None:
    kind = exchange_format(name)
    (back,) = round_trip([made], kind, tmp_path / "out.jsonl")
    held, found = fields(made), fields(back)
    assert {f: found[f] for f in FIELDS if f not in kind.loses} == {
        f: held[f] for f in FIELDS if f not in kind.loses
    }


@given(st.lists(TEXTS, min_size=1, max_size=3), st.data())
def test_outputs_are_split_so_that_they_join_again(outputs: list[str], data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, min_size=len(outputs), max_size=len(outputs)))
    seen = "\n".join(f"{name}: {output}" for name, output in zip(names, outputs, strict=True))
    parts = split_outputs(seen, names)
    assert parts is not None
    assert "\n".join(f"{name}: {part}" for name, part in zip(names, parts, strict=True)) == seen


def test_atif_is_valid_by_another_implementation(tmp_path: Path) -> None:
    atif = pytest.importorskip("atif")
    write_file(tmp_path / "out.jsonl", SAMPLES[:-1], kind=exchange_format("atif"))
    for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines():
        document = atif.Trajectory.model_validate_json(line)
        assert document.schema_version == "ATIF-v1.8"


# Files of others

ATIF = {
    "schema_version": "ATIF-v1.6",
    "session_id": "s-1",
    "agent": {"name": "terminus", "version": "2", "model_name": "large"},
    "steps": [
        {"step_id": 1, "source": "system", "message": "You are an agent."},
        {"step_id": 2, "source": "user", "message": [{"type": "text", "text": "list the files"}]},
        {
            "step_id": 3, "source": "agent", "message": "I look.", "reasoning_content": "ls does it",
            "timestamp": "2026-01-02T00:00:00Z",
            "tool_calls": [{"tool_call_id": "c", "function_name": "sh", "arguments": {"cmd": "ls"}}],
            "observation": {"results": [{"source_call_id": "c", "content": "a.txt"}]},
            "metrics": {"prompt_tokens": 10},
        },
        {"step_id": 4, "source": "agent", "message": "There is a.txt."},
    ],
    "final_metrics": {"total_steps": 4},
}  # fmt: skip
SHELL = action_of("", (ToolCall("c", "sh", '{"cmd": "ls"}'),)).text
MESSAGES = [
    {"role": "system", "content": "You are an agent."},
    {"role": "user", "content": "list the files"},
    {
        "role": "assistant", "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "sh", "arguments": '{"cmd": "ls"}'}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": "a.txt"},
    {"role": "assistant", "content": "There is a.txt."},
]  # fmt: skip
SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "list the files"},
        {"from": "function_call", "value": '{"name": "sh", "arguments": {"cmd": "ls"}}'},
        {"from": "observation", "value": "a.txt"},
        {"from": "gpt", "value": "There is a.txt."},
    ]
}


def lc(kind: str, **kwargs: Any) -> dict[str, Any]:
    """A message as LangChain serializes it."""
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", kind], "kwargs": kwargs}


def langsmith_runs() -> list[dict[str, Any]]:
    call = {"name": "sh", "args": {"cmd": "ls"}, "id": "c"}
    begun = [lc("SystemMessage", content="You are an agent."), lc("HumanMessage", content="list the files")]
    asked = lc("AIMessage", content="", tool_calls=[call])
    told = lc("ToolMessage", content="a.txt", tool_call_id="c")
    said = lc("AIMessage", content="There is a.txt.")

    def run(number: int, given: list[Any], answer: Any) -> dict[str, Any]:
        return {
            "id": f"r{number}", "trace_id": "t1", "run_type": "llm", "name": "ChatOpenAI",
            "dotted_order": f"2026010{number}", "start_time": f"2026-01-0{number}T00:00:00",
            "inputs": {"messages": [given]}, "outputs": {"generations": [[{"text": "", "message": answer}]]},
            "extra": {"metadata": {"ls_model_name": "large"}}, "status": "success",
        }  # fmt: skip

    chain = {"id": "t1", "trace_id": "t1", "run_type": "chain", "inputs": {}, "outputs": {}}
    # Not in order, as the API gives them.
    return [run(2, [*begun, asked, told], said), chain, run(1, begun, asked)]


def langfuse_rows() -> list[dict[str, Any]]:
    def row(number: int, given: list[Any], answer: Any) -> dict[str, Any]:
        return {
            "id": f"o{number}", "trace_id": "t1", "type": "GENERATION", "provided_model_name": "large",
            "start_time": f"2026-01-0{number} 00:00:00.000000", "level": "DEFAULT",
            "input": json.dumps(given), "output": json.dumps(answer),
        }  # fmt: skip

    span = {"id": "s", "trace_id": "t1", "type": "SPAN", "input": "x", "output": "y"}
    return [row(2, MESSAGES[:4], MESSAGES[4]), span, row(1, MESSAGES[:2], MESSAGES[2])]


FOREIGN: dict[str, list[dict[str, Any]]] = {
    "atif": [ATIF],
    "openai": [{"messages": MESSAGES}],
    "sharegpt": [SHAREGPT],
    "langsmith": langsmith_runs(),
    "langfuse": langfuse_rows(),
}


def layouts(records: list[dict[str, Any]], envelope: str) -> Iterator[str]:
    yield "".join(json.dumps(record) + "\n" for record in records)
    yield json.dumps(records)
    yield "\ufeff" + json.dumps(records, indent=2)
    yield "\n".join(json.dumps(record, indent=2) for record in records)
    if envelope:
        yield json.dumps({"meta": {"page": 1}, envelope: records}, indent=2)


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_others_are_recognised_and_read_however_they_are_laid_out(name: str, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    envelope = {"langsmith": "runs", "langfuse": "data"}.get(name, "")
    for text in layouts(FOREIGN[name], envelope):
        path.write_text(text, "utf-8")
        kind = detected(path)
        assert kind.name == name
        (read,) = read_file(path, kind)
        assert read.goal == "list the files"
        assert [step.action for step in read.steps] == [SHELL, "There is a.txt."]
        assert read.steps[1].observation == "sh: a.txt"
        assert (read.environment, read.outcome, read.tenant) == ("chat", None, "default")
        assert read.provenance.source == "file:in.json"
        assert list(read_file(path, kind)) == [read]
    if name in ("langsmith", "langfuse", "atif"):
        assert read.provenance.producer == "large"
        assert read.provenance.created_at == datetime(2026, 1, 2, tzinfo=UTC)


def test_calls_that_do_not_go_on_with_each_other_are_episodes_of_their_own(tmp_path: Path) -> None:
    first, chain, second = langsmith_runs()
    second["inputs"]["messages"][0][1] = lc("HumanMessage", content="something else")
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(run) + "\n" for run in (first, chain, second)))
    assert [t.id for t in read_file(path, detected(path))] == ["langsmith-t1", "langsmith-t1-2"]


@pytest.mark.parametrize(
    ("name", "record", "why"),
    [
        ("atif", {**ATIF, "steps": []}, "at least 1"),
        ("atif", {**ATIF, "steps": [{**ATIF["steps"][0], "step_id": 2}]}, "count from 1"),  # type: ignore[index]
        ("atif", {**ATIF, "extra": {"icd": {"mood": 1}}}, "extra.icd|tenant|Field required"),
        ("openai", {"messages": [{"role": "user", "content": 3}]}, "content is int"),
        ("openai", {"messages": [{"content": "x"}]}, "role"),
        ("sharegpt", {"conversations": [{"from": "nobody", "value": "x"}]}, "nobody"),
        ("langsmith", {"run_type": "llm", "id": "x", "inputs": {"a": 1}, "outputs": {"b": 1}}, "type"),
        (
            "langfuse",
            {"type": "GENERATION", "trace_id": "x", "id": "o", "input": [3], "output": "x"},
            "neither",
        ),
    ],
)
def test_what_is_wrong_with_a_record_is_told_with_its_place(
    name: str, record: Any, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (FOREIGN[name][0], record)))
    with pytest.raises(ConfigurationError, match=rf"in\.jsonl, line 2 is no .*(?:{why})"):
        list(read_file(path, exchange_format(name)))


@pytest.mark.parametrize(
    "text", ['{"a": 1}\n', "[3]", "hello", '{"a":', "[", "\x00", json.dumps({"a" * 100_000: 1})]
)
def test_a_file_of_no_format_is_refused_with_a_way_out(text: str, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="--format") as refused:
        detected(path)
    assert len(str(refused.value)) < 1_000


def test_formats_that_are_only_read_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="only read"):
        write_file(tmp_path / "out.jsonl", [], kind=exchange_format("langsmith"))
    with pytest.raises(ConfigurationError, match="use own, atif"):
        exchange_format("csv")


def test_the_documentation_says_what_is_lost() -> None:
    page = (ROOT / "docs" / "exchange.md").read_text("utf-8")
    assert loss_table() in page
    for kind in map(exchange_format, FORMATS):
        assert kind.title in page
        for ignored in kind.ignores:
            assert ignored in page
