"""The memory as MCP tools: real processes and the official client, keys and tenants, schemas, hints and errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from samples import trajectory

pytest.importorskip("mcp")
import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from icd.assembly import strategy_library
from icd.errors import ConfigurationError
from icd.mcp.answers import Answers
from icd.mcp.callers import KEY_VARIABLE, Callers
from icd.mcp.server import mcp_server
from icd.serving.keys import new_key
from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.rows import DecisionRow
from icd_memory.store import Store
from icd_memory.strategy import StrategyDraft

NOW = datetime(2026, 1, 2, tzinfo=UTC)
COMMAND = ["-c", "from icd.cli import main; main()", "mcp", "--embedder", "hashing", "--store"]


def decision(tenant: str) -> DecisionRow:
    """A receipt of an agent's only step."""
    body = {
        "observation": "what is 1 + 1?", "action": "2", "reasoning": "", "acted_by": "student", "reason": "agreed",
        "goal": "what is 1 + 1?", "category": "sums", "instance": f"e-{tenant}", "model": "small", "user": "",
        "tools": None, "after": None, "strategies": [], "samples": ["2", "2"],
    }  # fmt: skip
    return DecisionRow(f"d-{tenant}", f"e-{tenant}", 0, body, NOW, tenant, f"t-{tenant}")


def fill(place: Path, *, keys: bool) -> dict[str, str]:
    """Make a store with something of two tenants; return their keys."""
    tokens = {}
    with Store.open(place) as store, Memory.open(store, HashingEmbedder()) as memory:
        for tenant in ("acme", "globex"):
            made = trajectory(f"of {tenant}", tenant=tenant, goal=f"put the {tenant} apple in the fridge")
            assert memory.add(made).status == "demonstration"
            store.add_decision(decision(tenant))
            library = strategy_library(memory)
            drafted = library.propose(
                StrategyDraft(f"when {tenant} asks", "look twice before an answer", "chat", tenant=tenant),
                by="tests",
            )
            library.approve(drafted.id, by="tests", why="it is good", tenant=tenant)
            if keys:
                made_key = new_key(tenant, "agent", "tests", None, None, NOW)
                store.accounts.add_key(made_key.row)
                tokens[tenant] = made_key.token
    return tokens


@asynccontextmanager
async def connected(place: Path, key: str = "") -> AsyncGenerator[Client, None]:
    """The official client of a process of its own."""
    environ = {**os.environ, **({KEY_VARIABLE: key} if key else {})}
    command = StdioServerParameters(command=sys.executable, args=[*COMMAND, str(place)], env=environ)
    async with Client(command) as client:
        yield client


async def asked(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return "".join(part.text for part in result.content if part.type == "text")


async def test_a_process_serves_its_keys_tenant_over_stdio(tmp_path: Path) -> None:
    keys = fill(tmp_path / "a.db", keys=True)
    async with connected(tmp_path / "a.db", keys["acme"]) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {
            "search_demonstrations",
            "explain_decision",
            "record_outcome",
            "list_strategies",
        }
        for name, tool in tools.items():
            assert tool.description
            assert tool.input_schema["type"] == "object"
            assert tool.output_schema is not None
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is (name != "record_outcome")
            assert tool.annotations.open_world_hint is False
        found = await asked(
            client, "search_demonstrations", goal="put the apple in the fridge", environment="household", k=9
        )
        assert [one["trajectory_id"] for one in found["demonstrations"]] == ["of acme"]
        assert found["environments"] == ["household"]
        why = await asked(client, "explain_decision", decision="d-acme")
        assert (why["acted_by"], why["why"]) == ("student", "the student's samples agree")
        assert "X-ICD-Receipt" in await refused(client, "explain_decision", decision="d-globex")
        assert "X-ICD-Episode" in await refused(client, "record_outcome", episode="e-globex", success=True)
        listed = await asked(client, "list_strategies")
        assert [one["scenario"] for one in listed["strategies"]] == ["when acme asks"]
        first = await asked(client, "record_outcome", episode="e-acme", success=True)
        again = await asked(client, "record_outcome", episode="e-acme", success=True)
        assert (first["status"], first["new"], again["new"]) == ("demonstration", True, False)
        found = await asked(client, "search_demonstrations", goal="what is 1 + 1?", state="what is 1 + 1?")
        assert [one["goal"] for one in found["demonstrations"]] == ["what is 1 + 1?"]
    with Store.open(tmp_path / "a.db") as store:
        assert [row.success for row in store.feedback("acme", "e-acme")] == [True]
        assert store.feedback("globex", "e-globex") == []


@pytest.mark.parametrize("key", ["", "icd_000000000000_" + "x" * 43])
def test_a_process_without_a_good_key_does_not_start(tmp_path: Path, key: str) -> None:
    fill(tmp_path / "a.db", keys=True)
    environ = {**os.environ, KEY_VARIABLE: key}
    done = subprocess.run(
        [sys.executable, *COMMAND, str(tmp_path / "a.db")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "icd keys create" in done.stderr
    assert done.stdout == ""


async def test_http_asks_each_request_for_its_key(tmp_path: Path) -> None:
    keys = fill(tmp_path / "a.db", keys=True)
    process = subprocess.Popen(
        [sys.executable, *COMMAND, str(tmp_path / "a.db"), "--http", "--port", "0"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r"http://127\.0\.0\.1:\d+/mcp", line)
        assert match, line
        async with httpx2.AsyncClient() as bare:
            reply = await bare.post(match[0], json={})
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert "Authorization: Bearer" in reply.json()["error"]
        for tenant, other in (("acme", "globex"), ("globex", "acme")):
            headers = {"Authorization": f"Bearer {keys[tenant]}"}
            async with (
                httpx2.AsyncClient(headers=headers, timeout=60) as http,
                Client(streamable_http_client(match[0], http_client=http)) as client,
            ):
                why = await asked(client, "explain_decision", decision=f"d-{tenant}")
                assert why["episode"] == f"e-{tenant}"
                assert "no decision" in await refused(client, "explain_decision", decision=f"d-{other}")
    finally:
        process.terminate()
        process.communicate()


@asynccontextmanager
async def inside(place: Path, key: str | None = None) -> AsyncGenerator[tuple[Client, Store], None]:
    """The client of a server in this process."""
    with Store.open(place) as store, Memory.open(store, HashingEmbedder(), redact=True) as memory:
        answers = Answers(memory, strategy_library(memory), now=lambda: NOW)
        async with Client(mcp_server(answers, Callers(store.accounts, key))) as client:
            yield client, store


async def test_what_cannot_be_done_says_what_to_do(tmp_path: Path) -> None:
    keys = fill(tmp_path / "a.db", keys=True)
    async with inside(tmp_path / "a.db", keys["acme"]) as (client, _):
        assert "give success, score or comment" in await refused(client, "record_outcome", episode="e-acme")
        assert "less than or equal to 20" in await refused(client, "search_demonstrations", goal="x", k=21)
        assert "goal" in await refused(client, "search_demonstrations")
        empty = await asked(client, "search_demonstrations", goal="apple", environment="nowhere")
        assert empty == {"demonstrations": [], "environments": ["household"]}


async def test_a_key_that_is_revoked_or_used_too_often_is_told_so(tmp_path: Path) -> None:
    fill(tmp_path / "a.db", keys=False)
    with Store.open(tmp_path / "a.db") as store:
        made = new_key("acme", "agent", "slow", 1, None, NOW)
        store.accounts.add_key(made.row)
    async with inside(tmp_path / "a.db", made.token) as (client, _):
        await asked(client, "list_strategies")
        assert "1 requests a minute" in await refused(client, "list_strategies")
    with Store.open(tmp_path / "a.db") as store:
        store.accounts.revoke_key(made.row.id, NOW)
    async with inside(tmp_path / "a.db", made.token) as (client, _):
        assert "was revoked" in await refused(client, "list_strategies")


async def test_without_keys_this_machine_is_the_default_tenant(tmp_path: Path) -> None:
    fill(tmp_path / "a.db", keys=False)
    async with inside(tmp_path / "a.db") as (client, store):
        assert (await asked(client, "list_strategies"))["strategies"] == []
        store.add_decision(decision("default"))
        said = await asked(
            client, "record_outcome", episode="e-default", comment="mail ann@example.org about it"
        )
        assert said["status"] == "recorded"
        assert [row.comment for row in store.feedback("default", "e-default")] == ["mail <email-1> about it"]


async def test_callers_without_a_key_are_told_how_to_give_one(tmp_path: Path) -> None:
    fill(tmp_path / "a.db", keys=True)
    with Store.open(tmp_path / "a.db") as store:
        callers = Callers(store.accounts, None)
        with pytest.raises(ConfigurationError, match="Authorization: Bearer"):
            await callers.known({})
        with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
            await callers.known(None)


def test_the_answers_are_json(tmp_path: Path) -> None:
    fill(tmp_path / "a.db", keys=False)
    with Store.open(tmp_path / "a.db") as store, Memory.open(store, HashingEmbedder()) as memory:
        answers = Answers(memory, strategy_library(memory))
        caller = new_key("acme", "agent", "x", None, None, NOW).row
        from icd.serving.keys import Caller

        found = answers.explanation(Caller(caller.id, "acme", "agent", None, None), "d-acme")
        assert json.loads(found.model_dump_json())["receipt"]["samples"] == ["2", "2"]
