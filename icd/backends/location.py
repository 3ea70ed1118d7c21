"""Which provider is behind an address, by the names of OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from urllib.parse import urlsplit

from icd.backends.base import Location

__all__ = ["OPENAI_URL", "location_of"]

OPENAI_URL = "https://api.openai.com/v1"

_PROVIDERS = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "inference.ai.azure.com": "azure.ai.inference",
    "anthropic.com": "anthropic",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "amazonaws.com": "aws.bedrock",
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
}
"""By the end of the host's name."""


def location_of(url: str) -> Location:
    """Return who answers at an OpenAI-compatible address; ``openai`` where only the protocol is known."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    known = (name for end, name in _PROVIDERS.items() if host == end or host.endswith(("." + end, "-" + end)))
    return Location(next(known, "openai"), host, parts.port or (443 if parts.scheme == "https" else 80))
