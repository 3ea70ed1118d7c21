"""What a calibration promises, for which tasks, how surely, from how much, and at which price: in words."""

from __future__ import annotations

from collections.abc import Iterator

from icd.calibration import Tally, episodes_wanted
from icd.calibration_record import Calibration


def in_words(found: Calibration) -> Iterator[str]:
    """Return the promise in sentences, one a line."""
    yield _promise(found)
    yield _scope(found)
    if found.in_expectation is not None:
        yield (
            f"In expectation (conformal risk control) rather than with confidence {1 - found.delta:g}, the bound holds "
            f"up to {found.in_expectation}."
        )
    if (line := _price(found)) is not None:
        yield line


def _promise(found: Calibration) -> str:
    name = f"calibrated({found.epsilon:g}, {found.delta:g})"
    if found.policy == "teacher":
        return f"{name} is the teacher alone: {_why(found)}"
    what = (
        f"its share of successful episodes is at most {found.epsilon:g} below the teacher's"
        if found.promise == "episodes"
        else f"the student acts otherwise than the teacher in at most {found.epsilon:g} of an episode's steps, on average"
    )
    apart = (
        ""
        if found.by_support is None
        else f"; both for episodes whose first support is below {found.by_support:g} and for the others"
    )
    return f"{name} is {found.policy}: with confidence {1 - found.delta:g}, {what}{apart}."


def _why(found: Calibration) -> str:
    first = found.trials[0]
    if first.p_value <= found.delta:
        return "no accepted policy is cheaper."
    wanted = episodes_wanted(
        Tally(first.episodes, first.losses, first.gains), found.epsilon, found.delta
    ) if found.promise == "episodes" else None  # fmt: skip
    more = f"; at these rates about {wanted} episodes would accept it" if wanted else ""
    return f"even {first.policy} could not be accepted (p = {first.p_value:.3f}){more}."


def _scope(found: Calibration) -> str:
    environment = found.conditions["environment"]
    text = (
        f"It is about tasks like those of {environment}'s split {found.split}, of which {found.episodes} were played, "
        "with these models, demonstrations and settings; under others the policy is refused."
    )
    if found.promise == "steps":
        text += " The states are those that the recorded episodes visited."
    return text


def _price(found: Calibration) -> str | None:
    played = [trial for trial in found.trials if trial.cost is not None]
    if not played or found.teacher_cost is None:
        return None
    cheapest = min(played, key=lambda trial: trial.cost or 0.0)
    own = found.teacher_cost if found.chosen is None else found.chosen.cost or 0.0
    return (
        f"An episode costs ${own:.4f}, the teacher's ${found.teacher_cost:.4f}; the price of the guarantee is "
        f"${own - (cheapest.cost or 0.0):.4f} above {cheapest.policy}, the cheapest candidate played."
    )
