"""Trajectories as files, out of a store and into one: in our own format, and in those of other tools.

What must not be published is marked, in the store or by its environment. It is written only where that was asked for and
the format can hold the mark, and what is read keeps it: nothing here takes it off.
"""

from __future__ import annotations

from icd.exchange.files import read_file, write_file
from icd.exchange.formats import FORMATS, exchange_format
from icd.exchange.marks import marked, restriction_of
from icd.exchange.taking import take_in
from icd_memory.intake import KNOWN

__all__ = [
    "FORMATS",
    "KNOWN",
    "exchange_format",
    "marked",
    "read_file",
    "restriction_of",
    "take_in",
    "write_file",
]
