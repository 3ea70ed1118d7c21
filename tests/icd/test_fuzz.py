"""Damaged inputs at every parser: understood, or refused with a typed error that a person can read; nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path += [str(BENCHMARKS), str(BENCHMARKS.parent)]
from fuzz_parsers import Maker, parsers  # noqa: E402
from trust_fuzz import fuzz  # noqa: E402

MOST_GROWN_MB = 300.0


@pytest.mark.parametrize("make", parsers(), ids=lambda make: make.__name__)
def test_a_few_damaged_inputs(make: Maker, tmp_path: Path) -> None:
    feed(make, tmp_path, 15)


@pytest.mark.slow
@pytest.mark.parametrize("make", parsers(), ids=lambda make: make.__name__)
def test_damaged_inputs(make: Maker, tmp_path: Path) -> None:
    feed(make, tmp_path, 300)


@pytest.mark.long
@pytest.mark.parametrize("make", parsers(), ids=lambda make: make.__name__)
def test_ten_thousand_damaged_inputs(make: Maker, tmp_path: Path) -> None:
    feed(make, tmp_path, 10_000)


@pytest.mark.parametrize("make", parsers(), ids=lambda make: make.__name__)
def test_the_samples_themselves_are_understood(make: Maker, tmp_path: Path) -> None:
    with make(tmp_path) as parser:
        for sample in parser.samples:
            parser.parse(sample)


def feed(make: Maker, folder: Path, inputs: int) -> None:
    with make(folder) as parser:
        report = fuzz(parser, inputs)
    assert report.inputs >= inputs // 2
    assert [problem for problem, _ in report.failures] == []
    assert report.grown_mb < MOST_GROWN_MB
