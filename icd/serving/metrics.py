"""What Prometheus reads: requests, decisions, dollars, escalations, our own time, and what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from icd.backends.circuit import Circuit
from icd.decision import Decision
from icd_memory.group_commit import GroupCommit

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_LONG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        add: dict[str, Any] = {"registry": self._registry}
        requests = Counter("icd_requests", "Requests by route and status.", ("route", "status"), **add)
        decisions = Counter("icd_decisions", "Decisions by actor and reason.", ("acted_by", "reason"), **add)
        self._cost = Counter("icd_cost_dollars", "What the decisions cost, in US dollars.", **add)
        self._escalations = Counter(
            "icd_escalations", "Steps the teacher took in the student's place.", **add
        )
        self._overhead = Histogram(
            "icd_overhead_seconds", "Time added to a decision, without models.", buckets=_SECONDS, **add
        )
        seconds = Histogram(
            "icd_request_seconds", "Time of a request, streams to their end.", ("route",),
            buckets=_LONG_SECONDS, **add,
        )  # fmt: skip
        tokens = Counter("icd_tokens", "Tokens of all model calls.", ("role", "kind"), **add)
        self._refusals = Counter("icd_budget_refusals", "Calls that a budget did not allow.", **add)
        self._commits = Histogram(
            "icd_commit_seconds", "Time of a transaction that stores receipts.", buckets=_SECONDS, **add
        )
        self._receipts = Counter("icd_receipts_committed", "Receipts stored by those.", **add)
        self._waiting = Gauge("icd_receipts_waiting", "Receipts that wait for a transaction.", **add)
        self._in_flight = Gauge("icd_requests_in_flight", "Requests under way.", **add)
        self._circuits = Gauge(
            "icd_circuit_open", "1: the model's endpoint keeps failing and is left alone.", ("model",), **add
        )
        tasks = Gauge("icd_tasks", "Tasks of the event loop.", **add)
        tasks.set_function(lambda: float(len(asyncio.all_tasks())))
        self._reserved = Gauge(
            "icd_reserved_dollars",
            "Set aside for calls under way, summed over budgets, in US dollars.",
            **add,
        )
        # Looking a child up by its labels costs more than counting.
        self._request = cache(lambda route, status: requests.labels(route, str(status)))
        self._seconds = cache(seconds.labels)
        self._decision = cache(decisions.labels)
        self._tokens = cache(tokens.labels)

    def started(self) -> None:
        """Count a request in."""
        self._in_flight.inc()

    def finished(self, route: str, status: int, seconds: float) -> None:
        """Count it out; `route` is a pattern, never a path somebody made up."""
        self._in_flight.dec()
        self._request(route, status).inc()
        self._seconds(route).observe(seconds)

    def refused(self) -> None:
        """Count a call that could not be paid."""
        self._refusals.inc()

    def decided(self, decision: Decision, overhead: float) -> None:
        """Count a decision; `overhead` in seconds."""
        self._decision(decision.acted_by, decision.reason).inc()
        self._cost.inc(decision.cost)
        self._overhead.observe(overhead)
        if decision.escalated:
            self._escalations.inc()
        for charge in decision.charges:
            self._tokens(charge.role, "input").inc(charge.usage.input_tokens)
            self._tokens(charge.role, "output").inc(charge.usage.output_tokens)

    def watch(self, model: str, circuit: Circuit) -> None:
        """Tell from now on whether a model's endpoint is left alone."""
        self._circuits.labels(model).set_function(lambda: float(circuit.state != "closed"))

    def watch_commits(self, commits: GroupCommit) -> None:
        """Tell from now on how long receipts take to be stored, and how many wait."""
        self._waiting.set_function(lambda: float(commits.waiting))

        def committed(writes: int, seconds: float) -> None:
            self._commits.observe(seconds)
            self._receipts.inc(writes)

        commits.on_commit = committed

    def watch_budgets(self, reserved: Callable[[], float]) -> None:
        """Tell from now on how many US dollars are set aside."""
        self._reserved.set_function(reserved)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format; to be called by a task."""
        return generate_latest(self._registry)
