"""An array that grows at its end."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Growing:
    """Rows of an array, with room for more; a read-only array that it starts on is copied at the first
    addition."""

    def __init__(self, rows: npt.NDArray[Any]) -> None:
        self._rows = rows
        self._used = len(rows)

    @property
    def rows(self) -> npt.NDArray[Any]:
        """The rows in use, without a copy."""
        return self._rows[: self._used]

    def extend(self, rows: npt.NDArray[Any]) -> None:
        """Add rows."""
        needed = self._used + len(rows)
        if needed > len(self._rows) or not self._rows.flags.writeable:
            shape = (max(needed, 2 * self._used, 64), *self._rows.shape[1:])
            grown = np.empty(shape, dtype=self._rows.dtype)
            grown[: self._used] = self.rows
            self._rows = grown
        self._rows[self._used : needed] = rows
        self._used = needed
