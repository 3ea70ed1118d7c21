"""Print the trace of one escalated step: python examples/observability/trace_of_a_step.py

The models are scripted, so that the trace is always the same; ids, times and our own milliseconds are left out.
"""

import asyncio

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from icd import Budget, PricedModel, PriceTable
from icd.backends.base import Message
from icd.chat.call import ChatCall
from icd.chat.runtime import ChatRuntime
from icd.telemetry import enable
from icd.testing import ScriptedBackend
from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.store import Store

VARYING = {"icd.overhead_seconds", "gen_ai.conversation.id", "icd.receipt.id"}


def model(name: str, *answers: str) -> PricedModel:
    """Return a model that gives these answers to any request."""
    return PricedModel(
        ScriptedBackend(lambda request: answers, model=name), PriceTable().price(name), Budget()
    )


async def escalated_step() -> None:
    """Let the student disagree with itself, so that the teacher answers."""
    student = model("gpt-4.1-mini", "It was sent.", "It is lost.", "It was sent.")
    teacher = model("gpt-4.1", "Order 5 was sent on Monday.")
    memory = Memory.open(Store.open(":memory:"), HashingEmbedder())
    runtime = ChatRuntime(student=student, teacher=teacher, memory=memory)
    await runtime.answer(
        ChatCall((Message("user", "Where is order 5?"),), episode_id="order-5", max_tokens=256, seed=7)
    )
    await runtime.close()


def show(span: ReadableSpan, spans: list[ReadableSpan], depth: int = 0) -> None:
    """Print a span and those within it."""
    print("  " * depth + f"{span.name} [{span.kind.name}]")
    for name, value in sorted((span.attributes or {}).items()):
        if name not in VARYING:
            print("  " * depth + f"    {name} = {value}")
    inner = [s for s in spans if s.parent and span.context and s.parent.span_id == span.context.span_id]
    for other in sorted(inner, key=lambda s: s.start_time or 0):
        show(other, spans, depth + 1)


def main() -> None:
    """Trace the step and print it."""
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    enable(tracers)
    asyncio.run(escalated_step())
    spans = list(exporter.get_finished_spans())
    for root in (span for span in spans if span.parent is None):
        show(root, spans)


if __name__ == "__main__":
    main()
