"""The exact index's side file: opened by mapping it into memory, so that a large store is ready at once.

The file is a cache. It is written whole to a new name, synced and renamed, so a killed process leaves the old
one or the new one; one that is damaged, or of another embedder or format, reads as absent, and the index is
rebuilt from the store. What changed in the store since it was written is told by ids and content hashes,
which it holds.

Layout: magic (8 bytes), length of the header (8 bytes, little-endian), checksum of the header (4 bytes),
padding to 64, header (JSON: names, and for each array its dtype, shape, offset and checksum), arrays at
multiples of 64.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from icd_memory.errors import VectorIndexError
from icd_memory.segment import Segment

_MAGIC = b"icdindx1"
_PREFIX = struct.Struct("<8sQI")
_ALIGN = 64


def write_segment(path: Path, segment: Segment, embedder_id: str) -> None:
    """Write a segment, replacing what was there in one move. Raises VectorIndexError when it can't be
    written."""
    arrays = {name: np.ascontiguousarray(array) for name, array in segment.arrays().items()}
    header: dict[str, Any] = {
        "embedder": embedder_id,
        "dimension": segment.dimension,
        "names": segment.names(),
        "arrays": {},
    }
    offset = 0
    for name, array in arrays.items():
        header["arrays"][name] = {
            "dtype": array.dtype.str,
            "shape": array.shape,
            "offset": offset,
            "crc": zlib.crc32(_bytes(array)),
        }
        offset += _padded(array.nbytes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".index-", delete=False) as file:
            try:
                _write(file, json.dumps(header).encode(), list(arrays.values()))
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        raise VectorIndexError(f"can't write the index file {path}: {error.strerror or error}") from error


def read_segment(path: Path, embedder_id: str, dimension: int) -> Segment | None:
    """Map a segment's file; return None if it is missing, damaged, or made with another embedder."""
    try:
        with path.open("rb") as file:
            header, start = _header(file)
            if header["embedder"] != embedder_id or header["dimension"] != dimension:
                return None
            data = np.memmap(file, dtype=np.uint8, mode="r", offset=0)
        arrays = {name: _array(data, start, spec) for name, spec in header["arrays"].items()}
        return Segment.from_arrays(dimension, header["names"], arrays)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def versions_in(path: Path, embedder_id: str) -> dict[str, str] | None:
    """Return the versions of the trajectories in a segment's file by id; None if it cannot be used, as `read_segment`."""
    try:
        with path.open("rb") as file:
            dimension = int(_header(file)[0]["dimension"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None
    segment = read_segment(path, embedder_id, dimension)
    if segment is None:
        return None
    rows = zip(segment.ids, segment.versions, segment.alive, strict=True)
    return {id: version for id, version, alive in rows if alive}


def _write(file: Any, header: bytes, arrays: list[npt.NDArray[Any]]) -> None:
    prefix = _PREFIX.pack(_MAGIC, len(header), zlib.crc32(header))
    for part in (prefix, header, *(_bytes(array) for array in arrays)):
        file.write(part)
        file.write(bytes(_padded(len(part)) - len(part)))


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return the header and where the arrays start. Raises ValueError when it is damaged."""
    magic, length, checksum = _PREFIX.unpack(file.read(_PREFIX.size))
    if magic != _MAGIC or length > os.fstat(file.fileno()).st_size:
        raise ValueError("not an index file")
    file.seek(_padded(_PREFIX.size))
    text = file.read(length)
    if zlib.crc32(text) != checksum:
        raise ValueError("damaged header")
    return json.loads(text), _padded(_PREFIX.size) + _padded(length)


def _array(data: npt.NDArray[np.uint8], start: int, spec: dict[str, Any]) -> npt.NDArray[Any]:
    """Return one array as a view of the mapped file. Raises ValueError when it is damaged."""
    dtype = np.dtype(spec["dtype"])
    size = int(np.prod(spec["shape"], dtype=np.int64)) * dtype.itemsize
    begin = start + spec["offset"]
    part = np.asarray(data[begin : begin + size])
    if len(part) != size or zlib.crc32(part.data) != spec["crc"]:
        raise ValueError("damaged array")
    array: npt.NDArray[Any] = part.view(dtype).reshape(spec["shape"])
    return array


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _padded(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the system can sync a folder."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
