"""What operators see: metrics, logs, and the dashboard and alert rules made for them."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Connect
from prometheus_client.parser import text_string_to_metric_families
from scripted import ScriptedAnswerer, service_of

from icd.errors import BudgetError
from icd.serving.logs import JsonLines
from icd.serving.metrics import Metrics
from icd_memory.group_commit import GroupCommit
from icd_memory.store import Store

CHAT = "/v1/chat/completions"
SECRET = "rosebud-7261"
BODY = {"model": "icd/cascade", "messages": [{"role": "user", "content": SECRET}]}
EXAMPLES = Path(__file__).parents[3] / "examples/observability"
_NAME = re.compile(r"\bicd_[a-z_]+\b")


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the values by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_the_metrics_say(connect: Connect, answerer: ScriptedAnswerer) -> None:
    service = service_of(answerer)
    client = connect(service)
    reply = await client.post(CHAT, json=BODY)
    assert reply.status_code == 200
    found = samples((await client.get("/metrics")).text)
    route = ("route", CHAT)
    assert found["icd_requests_total", (route, ("status", "200"))] == 1
    assert found["icd_request_seconds_count", (route,)] == 1
    assert found["icd_overhead_seconds_count", ()] == 1
    assert found["icd_requests_in_flight", ()] == 1  # The one that asks.
    assert found["icd_cost_dollars_total", ()] > 0
    tokens = {labels: value for (name, labels), value in found.items() if name == "icd_tokens_total"}
    assert sum(tokens.values()) > 0
    assert {dict(labels)["kind"] for labels in tokens} == {"input", "output"}


async def test_labels_are_never_what_somebody_made_up(connect: Connect, answerer: ScriptedAnswerer) -> None:
    client = connect(service_of(answerer))
    for number in range(20):
        await client.get(f"/made/up/{number}")
        await client.get(f"/v1/models/model-{number}")
        await client.post(
            CHAT, json={**BODY, "model": f"model-{number}", "metadata": {"icd_episode": str(number)}}
        )
    found = samples((await client.get("/metrics")).text)
    routes = {dict(labels).get("route") for name, labels in found if name == "icd_requests_total"}
    assert routes == {"", "/v1/models/{id:path}", CHAT}


async def test_refusals_by_a_budget_are_counted(connect: Connect) -> None:
    def refuse(call: object) -> Any:
        raise BudgetError("the budget is used up")

    service = service_of(ScriptedAnswerer(script=refuse))
    client = connect(service)
    assert (await client.post(CHAT, json=BODY)).status_code == 429
    assert samples((await client.get("/metrics")).text)["icd_budget_refusals_total", ()] == 1


async def test_commits_are_measured() -> None:
    metrics = Metrics()
    with Store.open(":memory:") as store, GroupCommit(store) as commits:
        metrics.watch_commits(commits)
        commits.submit(lambda batch: None).result()
    assert commits.waiting == 0
    [seconds] = [m for m in metrics._registry.collect() if m.name == "icd_commit_seconds"]
    values = {sample.name: sample.value for sample in seconds.samples}
    assert values["icd_commit_seconds_count"] == 1


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the server logs as JSON, at level info."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("icd.serving.log")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield written
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)


def read(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_and_its_decision_have_ids_and_no_words(
    connect: Connect, answerer: ScriptedAnswerer, lines: io.StringIO, stream: bool
) -> None:
    client = connect(service_of(answerer))
    body = {**BODY, "stream": stream, "metadata": {"icd_episode": "ep-1"}}
    reply = await client.post(CHAT, json=body, headers={"X-Request-ID": "from-the-gateway"})
    decided, request = read(lines)
    assert decided["request_id"] == request["request_id"] == "from-the-gateway"
    assert decided["receipt_id"] == reply.headers["x-icd-receipt"]
    assert (decided["event"], request["event"]) == ("decided", "request")
    assert (request["route"], request["status"]) == (CHAT, 200)
    assert SECRET not in lines.getvalue()


@pytest.mark.parametrize("given", ["", "x" * 101, "a\tb", "ümlaut"])
async def test_an_unusable_request_id_is_replaced(
    connect: Connect, answerer: ScriptedAnswerer, lines: io.StringIO, given: str
) -> None:
    client = connect(service_of(answerer))
    for _ in range(2):
        await client.get("/healthz", headers=[(b"x-request-id", given.encode("latin-1"))])
    ids = [line["request_id"] for line in read(lines)]
    assert len(set(ids)) == 2
    assert given not in ids


def test_a_line_of_json_is_one_line() -> None:
    record = logging.makeLogRecord({"msg": 'said "%s"\nand left', "args": ("héllo",), "levelname": "INFO"})
    written = JsonLines().format(record)
    assert "\n" not in written
    assert json.loads(written)["message"] == 'said "héllo"\nand left'


async def exported() -> set[str]:
    """Return the names under which Prometheus stores our metrics."""
    kinds = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
    families = Metrics()._registry.collect()
    return {family.name + end for family in families for end in kinds[family.type]}


def dashboard_expressions() -> list[str]:
    board = json.loads((EXAMPLES / "grafana.json").read_text("utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((EXAMPLES / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


async def test_dashboard_and_alerts_name_only_metrics_that_there_are() -> None:
    expressions = [*dashboard_expressions(), *(rule["expr"] for rule in rules())]
    named = {name for expression in expressions for name in _NAME.findall(expression)}
    assert named
    assert named - await exported() == set()
    # And nothing is exported that nobody would see, but for the parts of histograms.
    seen = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in await exported()} - seen == {"icd_tasks"}


def test_the_dashboard_can_be_imported() -> None:
    board = json.loads((EXAMPLES / "grafana.json").read_text("utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "${source}"
    assert board["templating"]["list"][0]["name"] == "source"


def test_alert_rules() -> None:
    for rule in rules():
        assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "what_to_do"} <= rule["annotations"].keys()
        assert rule["expr"].count("(") == rule["expr"].count(")")
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "rules", EXAMPLES / "alerts.yml"], check=True, capture_output=True)
