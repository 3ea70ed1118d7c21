"""What tracing costs: a call that nobody watches, and a step that is exported. CPU time, so that other work on the
machine counts little.

    python benchmarks/telemetry.py
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from statistics import median

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from icd import Budget, PricedModel, PriceTable
from icd.backends.base import ChatRequest, Message
from icd.chat.call import ChatCall
from icd.chat.runtime import ChatRuntime
from icd.telemetry import disable, enable, operations, spans
from icd.testing import ScriptedBackend

STEPS, ROUNDS, NOTHINGS = 300, 9, 100_000


class Nowhere(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def model(name: str, *answers: str) -> PricedModel:
    return PricedModel(
        ScriptedBackend(lambda request: answers, model=name), PriceTable().price(name), Budget()
    )


def escalated_steps() -> None:
    """Three samples in one request that disagree, then the teacher; nothing is retrieved or stored."""
    runtime = ChatRuntime(student=model("gpt-4.1-mini", "a", "b", "a"), teacher=model("gpt-4.1", "c"))
    call = ChatCall((Message("user", "Where is order 5?"),))

    async def run() -> None:
        for _ in range(STEPS):
            await runtime.answer(call)

    asyncio.run(run())


def nothings() -> None:
    """The hooks of one model call, watched by nobody."""
    backend, request = model("gpt-4.1", "x").backend, ChatRequest((Message("user", "x"),))
    for _ in range(NOTHINGS):
        with spans.ambient().start(operations.chat, backend, request, "student") as span:
            with span.current():
                pass
            span.tell(operations.first_piece, 0.0)


def cpu_seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Nowhere()))
    off, on = [], []
    escalated_steps()
    for _ in range(ROUNDS):
        disable()
        off.append(cpu_seconds(escalated_steps))
        enable(tracers)
        on.append(cpu_seconds(escalated_steps))
    disable()
    hook = median(cpu_seconds(nothings) for _ in range(3)) / NOTHINGS
    print(f"hooks of a model call that nobody watches: {hook * 1e9:.0f} ns of CPU")
    print(f"an escalated step without tracing: {median(off) / STEPS * 1e6:.0f} us of CPU")
    print(f"the same with its three spans exported: {median(on) / STEPS * 1e6:.0f} us of CPU")
    tracers.shutdown()


if __name__ == "__main__":
    main()
