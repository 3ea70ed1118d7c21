"""Strategies as a reviewer reads them."""

from __future__ import annotations

from collections.abc import Sequence

from icd.strategy_texts import indented
from icd_memory.strategy import MeasuredUse, Outcomes, PairedTest, Strategy, StrategyChange


def brief(strategy: Strategy, measured: MeasuredUse) -> str:
    """Return a strategy in a line."""
    scenario = " ".join(strategy.scenario.split())
    shown = f"{measured.shown}x" if measured.shown else "-"
    return f"{strategy.id}  {strategy.status:<8}  v{strategy.version}  {shown:>5}  {strategy.environment}  {scenario}"


def facts(strategy: Strategy, measured: MeasuredUse) -> dict[str, object]:
    """Return a strategy as JSON data."""
    fields = {name: getattr(strategy, name) for name in strategy.__dataclass_fields__}
    return {**fields, "measured": measured}


def page(
    strategy: Strategy, measured: MeasuredUse, tests: Sequence[PairedTest], history: Sequence[StrategyChange]
) -> list[str]:
    """Return all that is known of a strategy, line by line."""
    origin = strategy.origin
    merged = f", merged into {strategy.merged_into}" if strategy.merged_into else ""
    sources = [f"episode {id}" for id in origin.episodes] + [f"decision {id}" for id in origin.decisions]
    lines = [
        f"{strategy.id}: {strategy.status}{merged}, version {strategy.version} ({strategy.reason or 'no reason given'})",
        f"{strategy.environment}, {strategy.category or 'no category'}, tenant {strategy.tenant}",
        f"written by {origin.model or 'a person'}" + (f" in {origin.run}" if origin.run else ""),
        *([f"from {', '.join(sources)}"] if sources else []),
        "", "When:", *indented(strategy.scenario), "", "Advice:", *indented(strategy.guidance), "",
        f"shown in {measured.shown} episodes: {_outcomes(measured.shown_outcomes)}; "
        f"applied and not shown: {_outcomes(measured.other_outcomes)}",
        f"judged helpful {measured.helpful} times, harmful {measured.harmful} times",
    ]  # fmt: skip
    lines += [_test(test) for test in tests]
    return [*lines, "", "History:", *(_change(change, strategy.id) for change in history)]


def _outcomes(outcomes: Outcomes) -> str:
    if not outcomes.episodes and outcomes.score is None:
        return "no outcome known"
    score = "" if outcomes.score is None else f", mean score {outcomes.score:.2f}"
    return f"{outcomes.successes} of {outcomes.episodes} succeeded{score}"


def _test(test: PairedTest) -> str:
    verdict = "passed" if test.passed else "not passed"
    return (
        f"paired test of version {test.version} with {test.model or 'a student'}: {test.measure} {test.difference:+.3f} "
        f"[{test.low:+.3f}, {test.high:+.3f}] at {test.confidence:.0%} over {test.pairs} pairs: {verdict}"
    )


def _change(change: StrategyChange, id: str) -> str:
    other = "" if change.strategy_id == id else f" ({change.strategy_id})"
    why = f": {change.why}" if change.why else ""
    return (
        f"  {change.at:%Y-%m-%d %H:%M}  {change.action}{other} by {change.by}, version {change.version}{why}"
    )
