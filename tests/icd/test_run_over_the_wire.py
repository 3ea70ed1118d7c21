"""`icd run` against OpenAI-compatible endpoints with faults, and interrupted with Ctrl-C, in processes of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from icd.backends.base import ChatRequest, Message
from icd.testing import DemonstrationBackend, Fault, LoopbackServer

ICD = (sys.executable, "-c", "from icd.cli import main; main()")
FAULTS = (
    Fault("status", status=429, retry_after="0"),
    None,
    Fault("dropped"),
    Fault("status", status=503),
    None,
    Fault("broken_json"),
    Fault("no_usage"),
    Fault("fewer_choices"),
    Fault("null_content"),
)


def follow(body: dict[str, Any]) -> list[str]:
    """Answer as the demonstrations in the prompt do, or with the first command that is said to be possible."""
    messages = tuple(Message(m["role"], m["content"]) for m in body["messages"])
    possible = [
        line.removeprefix("Possible: ").split("; ")
        for line in messages[-1].content.splitlines()
        if line.startswith("Possible: ")
    ]
    choices = tuple(possible[-1]) if possible else None
    request = ChatRequest(messages, body.get("n") or 1, 0.3, seed=body.get("seed"), choices=choices)
    response = asyncio.run(DemonstrationBackend().complete(request))
    return [completion.text for completion in response.completions]


def icd(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ICD, *arguments], cwd=workspace, capture_output=True, text=True, timeout=120)


def collect(workspace: Path) -> None:
    done = icd(workspace, "collect", "household", "-n", "6", "--embedder", "hashing")
    assert done.returncode == 0, done.stderr


def arguments(server: LoopbackServer, episodes: int = 2) -> list[str]:
    return [
        *("bench", "household", "-n", str(episodes), "--max-steps", "5", "--embedder", "hashing", "--json"),
        *("--student", server.base_url, "--student-model", "gpt-4.1-mini"),
    ]


def test_student_and_teacher_by_url_with_faults(workspace: Path) -> None:
    collect(workspace)
    with (
        LoopbackServer(follow, faults=FAULTS) as student,
        LoopbackServer(follow, faults=FAULTS[2:]) as teacher,
    ):
        done = icd(
            workspace,
            *arguments(student),
            *("--teacher", teacher.base_url, "--teacher-model", "claude-sonnet-4.5"),
            *("--methods", "student,cascade,teacher"),
        )
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert [m["episodes"] for m in summary["methods"]] == [2, 2, 2]
        assert all(m["cost"]["value"] > 0 for m in summary["methods"])
        assert summary["conditions"]["student"]["price"]["input"] == 0.4
        assert summary["conditions"]["teacher"]["price"]["output"] == 15.0
        asked = len(student.requests), len(teacher.requests)
        assert min(asked) > 10
        # Possible actions are told in words: neither endpoint can be held to them.
        assert "Possible: " in student.requests[-1].body["messages"][-1]["content"]
        assert "Possible: " in teacher.requests[-1].body["messages"][-1]["content"]
        again = icd(
            workspace,
            *arguments(student),
            *("--teacher", teacher.base_url, "--teacher-model", "claude-sonnet-4.5"),
            *("--methods", "student,cascade,teacher"),
        )
        assert json.loads(again.stdout) == summary
        assert (len(student.requests), len(teacher.requests)) == asked


def test_a_model_without_a_price_is_refused_before_anything_is_asked(workspace: Path) -> None:
    with LoopbackServer(follow) as server:
        words = arguments(server)
        words[words.index("gpt-4.1-mini")] = "our-model-7b"
        done = icd(workspace, *words, "--methods", "student")
        assert done.returncode == 2
        assert "costs are never guessed" in done.stderr
        assert server.requests == []


def test_an_endpoint_that_refuses_is_code_3_and_the_next_run_goes_on(workspace: Path) -> None:
    refusals = [None] * 3 + [Fault("status", status=401, message="no such key")]
    with LoopbackServer(follow, faults=refusals) as server:
        first = icd(workspace, *arguments(server), "--methods", "student")
        assert first.returncode == 3
        assert "no such key" in first.stderr
        assert "the same command plays them again" in first.stderr
        assert json.loads(first.stdout)["methods"][0]["failed"] == 1
        second = icd(workspace, *arguments(server), "--methods", "student")
        assert second.returncode == 0, second.stderr
        assert json.loads(second.stdout)["methods"][0]["episodes"] == 2
    # Two plans and ten steps, each paid once; the refused request cost nothing.
    assert len(server.requests) == 2 + 2 * 5 + 1


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_stops_and_the_same_command_goes_on(workspace: Path) -> None:
    def slowly(body: dict[str, Any]) -> list[str]:
        time.sleep(0.05)
        return follow(body)

    with LoopbackServer(slowly) as server:
        words = [*ICD, *arguments(server, 4), "--methods", "student"]
        process = subprocess.Popen(
            words,
            cwd=workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while len(server.requests) < 9:
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        assert "the same command goes on from here" in said
        assert "Traceback" not in said
        before = len(server.requests)
        done = icd(workspace, *words[len(ICD) :])
        assert done.returncode == 0, done.stderr
        method = json.loads(done.stdout)["methods"][0]
        assert (method["episodes"], method["unfinished"]) == (4, 0)
    # Up to four episodes were under way: their last calls were cut off, nothing else was asked twice.
    assert 4 * 6 <= len(server.requests) <= 4 * 6 + 4
    assert before >= 9
