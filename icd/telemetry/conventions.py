"""The conventions that are kept, and the names of our own attributes.

Pinned: OpenTelemetry Semantic Conventions 1.41.1, the last release that holds those for generative AI. Since 1.42 they
live in a repository of their own, which has no release yet; 1.42 and later only say that they moved.
"""

from __future__ import annotations

VERSION = "1.41.1"
SCHEMA_URL = f"https://opentelemetry.io/schemas/{VERSION}"
CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The variable by which GenAI instrumentations are asked for content."""
PROVIDER = "icd"
"""`gen_ai.provider.name` of what this runtime does itself."""
DATA_SOURCE = "icd.demonstrations"
"""`gen_ai.data_source.id` of the memory."""
TOKEN_BUCKETS = tuple(4**power for power in range(14))
SECOND_BUCKETS = tuple(0.01 * 2**power for power in range(14))
"""Boundaries of the conventions' histograms."""
