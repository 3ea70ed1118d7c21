"""Texts to vectors: what an embedder is, the hashing embedder, and the cache that embeds nothing twice.

An embedder's `id` names model, precision and dimension. Vectors of different ids are never compared, and no
embedder is ever put silently in another's place. The MiniLM embedder is in `icd_memory.minilm`.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from icd_memory.errors import EmbedderMissingError, WeightsMissingError
from icd_memory.store import Store, text_hash

Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]

MAX_CHARACTERS = 2_000
"""Texts are cut here before they are embedded (arXiv 2505.00234)."""


class Embedder(Protocol):
    """Turns texts into vectors whose dot product says how alike they are."""

    id: str
    """Model, precision and dimension, e.g. ``all-minilm-l6-v2/int8/384``: the identity of an index."""
    dimension: int

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one row of length 1 a text (all zero for a blank text); the same text gives the same row."""


class HashingEmbedder:
    """Words, pairs of words and character 4-grams, hashed with signs: no weights, the same in every process.

    For tests and first steps. It sees spelling, not meaning.
    """

    def __init__(self, dimension: int = 384) -> None:
        self.dimension = dimension
        self.id = f"hashing-1/float32/{dimension}"

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one row of length 1 a text."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            codes = np.fromiter((zlib.crc32(f) for f in _features(cut(text))), dtype=np.uint32)
            signs = np.where(codes >> 31, np.float32(1.0), np.float32(-1.0))
            row += np.bincount((codes & 0x7FFFFFFF) % self.dimension, weights=signs, minlength=self.dimension)
        return normalised(rows)


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, by a name that is already on this machine or by its folder.

    Texts go through the model in batches: the last bits of a row depend on its batch, until `CachedEmbedder`
    rounds.
    """

    def __init__(self, model: str, *, batch_size: int = 32, device: str = "cpu") -> None:
        """Load the model, from this machine only.

        Raises EmbedderMissingError without the extra ``transformers``, WeightsMissingError without the
        weights.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise EmbedderMissingError(
                "sentence-transformers is not installed: pip install 'icd-runtime[transformers]'"
            ) from error
        try:
            self._model: Any = SentenceTransformer(model, device=device, local_files_only=True)
        except OSError as error:
            raise WeightsMissingError(
                f"no sentence-transformers model {model!r} on this machine: "
                "download it first, or give its folder"
            ) from error
        self.dimension = int(self._model.get_embedding_dimension())
        self.id = f"{_identity(model)}/float32/{self.dimension}"
        self._batch_size = batch_size

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one row of length 1 a text."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        filled = [number for number, text in enumerate(texts) if text.strip()]
        if filled:
            cuts = [cut(texts[number]) for number in filled]
            rows[filled] = self._model.encode(
                cuts, batch_size=self._batch_size, convert_to_numpy=True, show_progress_bar=False
            )
        return normalised(rows)


class CachedEmbedder:
    """An embedder that looks a text up by its hash, in memory and then in the store, before it embeds it.

    What it returns is always the vector as it is kept (rounded to float16), so that a first call and a later
    one, in this process or another, agree to the last bit. Safe for threads.
    """

    def __init__(self, embedder: Embedder, store: Store | None = None, *, size: int = 20_000) -> None:
        """Wrap `embedder`; keep `size` vectors in memory, and all of them in the store if there is one."""
        self.id = embedder.id
        self.dimension = embedder.dimension
        self._embedder = embedder
        self._store = store
        self._size = size
        self._recent: OrderedDict[str, Vector] = OrderedDict()
        self._unsaved: set[str] = set()
        self._lock = threading.Lock()

    def remembers(self, texts: Sequence[str]) -> bool:
        """Say whether `embed` would answer at once, without the embedder and the store."""
        hashes = {_key(cut(text)) for text in texts}
        return len(self._remembered(list(hashes))) == len(hashes)

    def embed(self, texts: Sequence[str], *, keep: bool = True) -> Matrix:
        """Return one row a text; what is nowhere yet is embedded in one batch, and kept in the store unless `keep`
        says that these texts are only looked for (a write waits for the disk)."""
        hashes = [_key(cut(text)) for text in texts]
        known = self._remembered(hashes)
        missing = {key: text for key, text in zip(hashes, texts, strict=True) if key not in known}
        if missing and self._store is not None:
            known.update(self._store.vectors(self.id, missing))
        new = {key: text for key, text in missing.items() if key not in known}
        if new:
            made = dict(zip(new, as_kept(self._embedder.embed(list(new.values()))), strict=True))
            known.update(made)
        self._remember({key: known[key] for key in missing})
        self._save(hashes, known, new, keep)
        if not hashes:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return np.array([known[key] for key in hashes])

    def _save(self, hashes: Sequence[str], known: dict[str, Vector], new: Iterable[str], keep: bool) -> None:
        """Write the vectors that are not in the store yet, or note that they are not."""
        if self._store is None:
            return
        with self._lock:
            self._unsaved.update(new)
            due = {key: known[key] for key in hashes if key in self._unsaved} if keep else {}
        if due:
            self._store.add_vectors(self.id, due)
            with self._lock:
                self._unsaved -= due.keys()

    def _remembered(self, hashes: Sequence[str]) -> dict[str, Vector]:
        with self._lock:
            found = {key: self._recent[key] for key in hashes if key in self._recent}
            for key in found:
                self._recent.move_to_end(key)
            return found

    def _remember(self, vectors: dict[str, Vector]) -> None:
        with self._lock:
            self._recent.update(vectors)
            while len(self._recent) > self._size:
                self._unsaved.discard(self._recent.popitem(last=False)[0])


def _identity(model: str) -> str:
    """Return the model's name; of a folder its last part and a fingerprint, for many are called alike."""
    folder = Path(model)
    if not folder.is_dir():
        return model.lower()
    files = sorted((str(file.relative_to(folder)), file.stat().st_size) for file in folder.rglob("*.*"))
    digest = hashlib.sha256(repr(files).encode())
    for config in sorted(folder.rglob("config.json")):
        digest.update(config.read_bytes())
    return f"{folder.resolve().name.lower()}-{digest.hexdigest()[:8]}"


_key = lru_cache(1_000)(text_hash)
"""Kept, since a step's texts are looked up several times."""


def cut(text: str) -> str:
    """Return the part of a text that is embedded."""
    return text.strip()[:MAX_CHARACTERS]


def as_kept(rows: Matrix) -> Matrix:
    """Return vectors as they come back from the store, where they are kept as float16."""
    return rows.astype(np.float16).astype(np.float32)


def normalised(rows: Matrix) -> Matrix:
    """Return the rows with length 1; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)


_WORD = re.compile(r"\w+", re.UNICODE)


def _features(text: str) -> Iterator[bytes]:
    words = [word.encode("utf-8", "surrogatepass") for word in _WORD.findall(text.lower())]
    for word in words:
        yield b"w" + word
    for first, second in itertools.pairwise(words):
        yield b"b" + first + b" " + second
    joined = b" ".join(words)
    for start in range(len(joined) - 3):
        yield b"c" + joined[start : start + 4]
