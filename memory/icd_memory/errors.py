"""Errors of `icd_memory`, by the boundary that was crossed.

IcdMemoryError
├── MemoryStoreError             the database behind the store
│   ├── StoreLockedError         another process holds the write lock for too long
│   ├── StoreCorruptError        the file is damaged, or is not a store
│   ├── StoreUnwritableError     the path or the permissions don't allow it
│   ├── StoreFullError           the disk is full
│   ├── StoreUnavailableError    the database server does not answer, or its driver is missing
│   ├── StoreClosedError         it takes no more writes
│   └── StoreVersionError        made by a newer icd-runtime
├── EmbedderError                texts to vectors
│   ├── WeightsMissingError      the model's files are not on this machine
│   ├── WeightsFetchError        fetching them failed, or what came is not what was expected
│   ├── EmbedderMissingError     the extra that the embedder needs is not installed
│   └── EmbedderMismatchError    the store was made with another embedder
├── VectorIndexError             the vector index
│   └── IndexUnavailableError    its extra is not installed, or its server does not answer
├── StrategyError                the strategy library
│   ├── StrategyNotFoundError    no strategy of this id
│   ├── StrategyStatusError      not from where the strategy stands
│   ├── StrategyConflictError    it was changed by somebody else meanwhile
│   └── StrategyFileError        a file of strategies cannot be read
├── RedactionMissingError        the extra that redaction needs is not installed
└── TrajectoryNotFoundError      no trajectory of this id
"""

from __future__ import annotations


class IcdMemoryError(Exception):
    """Something about the memory; `code` is stable, the message says what to do."""

    code = "memory"


class MemoryStoreError(IcdMemoryError):
    """The database behind the store failed."""

    code = "memory.store"


class StoreLockedError(MemoryStoreError):
    """Another process holds the write lock for too long."""

    code = "memory.store.locked"


class StoreCorruptError(MemoryStoreError):
    """The file is damaged, or is not a store."""

    code = "memory.store.corrupt"


class StoreUnwritableError(MemoryStoreError):
    """The path or the permissions don't allow to open or to write the store."""

    code = "memory.store.unwritable"


class StoreFullError(MemoryStoreError):
    """The disk is full; what was acknowledged is safe."""

    code = "memory.store.full"


class StoreUnavailableError(MemoryStoreError):
    """The database server does not answer, or its driver is missing."""

    code = "memory.store.unavailable"


class StoreClosedError(MemoryStoreError):
    """Nothing more can be written: what writes here was closed."""

    code = "memory.store.closed"


class StoreVersionError(MemoryStoreError):
    """The store was made by a newer icd-runtime than this one."""

    code = "memory.store.version"


class EmbedderError(IcdMemoryError):
    """Turning texts into vectors failed."""

    code = "memory.embedder"


class WeightsMissingError(EmbedderError):
    """The embedding model's files are not on this machine."""

    code = "memory.embedder.weights_missing"


class WeightsFetchError(EmbedderError):
    """Fetching weights failed, or what came is not what was expected."""

    code = "memory.embedder.weights_fetch"


class EmbedderMissingError(EmbedderError):
    """The extra that this embedder needs is not installed."""

    code = "memory.embedder.extra_missing"


class EmbedderMismatchError(EmbedderError):
    """The store was made with another embedder: its vectors can't be compared with this one's."""

    code = "memory.embedder.mismatch"


class VectorIndexError(IcdMemoryError):
    """The vector index failed. It can be rebuilt from the store at any time."""

    code = "memory.index"


class IndexUnavailableError(VectorIndexError):
    """The index's extra is not installed, or its server does not answer."""

    code = "memory.index.unavailable"


class StrategyError(IcdMemoryError):
    """Something about the strategy library."""

    code = "memory.strategy"


class StrategyNotFoundError(StrategyError):
    """No strategy of this id."""

    code = "memory.strategy.not_found"


class StrategyStatusError(StrategyError):
    """A strategy that stands where it stands cannot be changed so."""

    code = "memory.strategy.status"


class StrategyConflictError(StrategyError):
    """The strategy was changed by somebody else meanwhile."""

    code = "memory.strategy.conflict"


class StrategyFileError(StrategyError):
    """A file of strategies cannot be read; the message names the line."""

    code = "memory.strategy.file"


class TrajectoryNotFoundError(IcdMemoryError):
    """No trajectory of this id."""

    code = "memory.trajectory_not_found"


class RedactionMissingError(IcdMemoryError):
    """The extra that redaction needs is not installed."""

    code = "memory.redaction.extra_missing"
