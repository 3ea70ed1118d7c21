"""How receipts hang together: digests of rows, and the links of a chain. Pure functions; nothing is stored here.

A tenant's chain begins with a link made of its name. Each entry's link is the sha256 of the link before it and of the
entry, so no entry can be changed, moved, left out or put in without every later link being another. What a receipt
said enters by its digest alone: its content can be erased, and the chain still be checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

EntryKind = Literal["receipt", "erasure"]
"""`receipt`: a decision was recorded; `erasure`: its content was removed later."""

DIGESTED = ("id", "episode_id", "step", "body", "created_at", "tenant", "thread")
"""The columns of a decision that its digest covers, in this order, as they are stored. Columns that are added to the
table later are not covered: old digests must hold."""


def digest_of(values: Iterable[object]) -> str:
    """Return the sha256 of the values' texts, in hex; each with its length, so that none runs into the next."""
    found = sha256()
    for value in values:
        data = str(value).encode("utf-8", "surrogatepass")
        found.update(b"%d:" % len(data))
        found.update(data)
    return found.hexdigest()


def first_link(tenant: str) -> str:
    """Return the link that stands before a tenant's first entry."""
    return digest_of(("icd receipts", tenant))


def next_link(link: str, position: int, kind: EntryKind, receipt_id: str, digest: str) -> str:
    """Return the link of the entry at `position`, after one that ended in `link`."""
    return digest_of((link, position, kind, receipt_id, digest))


def erasure_digest(receipt_id: str, at: str) -> str:
    """Return the digest of the entry that says when a receipt's content was removed."""
    return digest_of(("erased", receipt_id, at))
