"""How many tokens a text has where its tokenizer is not known: an estimate, and marked as one wherever it is
used."""

from __future__ import annotations

__all__ = ["estimate_tokens"]

BYTES_PER_TOKEN = 4
"""English text of today's tokenizers: about 4 characters a token. Counting UTF-8 bytes instead also comes
near for scripts of which one character is most of a token."""


def estimate_tokens(text: str) -> int:
    """Return a quarter of the text's UTF-8 bytes, rounded up."""
    return -(-len(text.encode("utf-8", errors="replace")) // BYTES_PER_TOKEN)
