"""A router that sees the task only: before the first step it says who plays the whole episode.

In the manner of RouteLLM (arXiv 2406.18665): a predicted chance that the cheap model is good enough, and a threshold for
a target share of tasks to the expensive one. Here logistic regression on the goal's embedding and the category, fitted
on train tasks that both have played under the same conditions; good enough: the student won, or the teacher lost too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from icd.benchmark.played_run import PlayedRun, Prompt
from icd.errors import ConfigurationError, MissingExtraError
from icd_envs.table import suite
from icd_memory.rows import JsonObject

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    _Floats = npt.NDArray[np.floating[Any]]

__all__ = ["Lesson", "Router", "fit_router", "learn"]

_FOLDS = 5
_FEWEST = 2
"""Tasks of each kind, good enough and not, from which anything can be learned and checked."""


class Lesson(NamedTuple):
    """A train task, and whether the student was good enough."""

    prompt: Prompt
    good_enough: bool


Embed = Callable[[Sequence[str]], "_Floats"]
"""One row a text."""


@dataclass(frozen=True)
class Router:
    """Fits of scikit-learn, each without one part of the train tasks.

    So the chances of those tasks, on which the threshold is set, are comparable with those of new ones.
    """

    fits: Sequence[Any]
    embed: Embed
    categories: tuple[str, ...]
    held_out: _Floats
    """Chance of each train task, from the fit without it."""

    def good_enough(self, prompts: Sequence[Prompt]) -> _Floats:
        """Return the chance that the student is good enough for each task: the mean of the fits."""
        features = _features(prompts, self.embed, self.categories)
        chances: _Floats = sum(fit.predict_proba(features)[:, 1] for fit in self.fits) / len(self.fits)
        return chances

    def to_teacher(self, prompts: Sequence[Prompt], share: float) -> list[bool]:
        """Say which tasks go to the teacher, if about `share` of tasks like the train tasks are to."""
        import numpy as np

        if share in (0, 1):
            return [bool(share)] * len(prompts)
        threshold = np.quantile(self.held_out, share)
        return [bool(chance < threshold) for chance in self.good_enough(prompts)]


def learn(lessons: Sequence[Lesson], embed: Embed) -> Router:
    """Fit a router.

    Raises:
        ConfigurationError: the lessons are too few, or all the same.
        MissingExtraError: scikit-learn is not installed.
    """
    good = sum(lesson.good_enough for lesson in lessons)
    rarer = min(good, len(lessons) - good)
    if rarer < _FEWEST:
        raise ConfigurationError(
            f"the student was good enough on {good} of {len(lessons)} train tasks: a router learns from at least "
            f"{_FEWEST} tasks of each kind; play more train tasks"
        )
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold
    except ImportError as error:
        raise MissingExtraError("a router", "report") from error
    import numpy as np

    categories = tuple(sorted({lesson.prompt.category for lesson in lessons}))
    features = _features([lesson.prompt for lesson in lessons], embed, categories)
    labels = np.asarray([lesson.good_enough for lesson in lessons])
    held_out, fits = np.zeros(len(lessons)), []
    folds = StratifiedKFold(min(_FOLDS, rarer), shuffle=True, random_state=0)
    for shown, hidden in folds.split(features, labels):
        fits.append(LogisticRegression(max_iter=1000).fit(features[shown], labels[shown]))
        held_out[hidden] = fits[-1].predict_proba(features[hidden])[:, 1]
    return Router(fits, embed, categories, held_out)


def _features(prompts: Sequence[Prompt], embed: Embed, categories: Sequence[str]) -> _Floats:
    import numpy as np

    kinds = [[float(prompt.category == name) for name in categories] for prompt in prompts]
    return np.hstack([embed([prompt.goal for prompt in prompts]), np.asarray(kinds)])


def fit_router(run: PlayedRun, student: str) -> Router:
    """Fit a router for a run, on the train tasks that student and teacher played under its conditions in its store.

    Raises:
        ConfigurationError: there are none, or too few.
        MissingExtraError: scikit-learn is not installed.
        IcdMemoryError: the embedder cannot be used.
    """
    lessons = _lessons(run, student)
    environment = run.conditions["environment"]
    if not lessons:
        raise ConfigurationError(
            f"a router learns from train tasks that both {student} and teacher played, and {run.store.place} has none of "
            f"{environment} under the conditions of {run.run_id}: play some with --split {_train_splits(run)[0]}"
        )
    return learn(lessons, _embedding(run))


def _lessons(run: PlayedRun, student: str) -> list[Lesson]:
    """Return a lesson for each train task; of several seeds, what most of them show."""
    known: dict[str, tuple[Prompt, list[bool]]] = {}
    for row in run.store.runs():
        conditions = row.config.get("conditions", {})
        if conditions.get("split") in _train_splits(run) and _alike(conditions, run.conditions):
            train = PlayedRun(run.store, row.id, conditions)
            mine, teachers = train.by_task(student), train.by_task("teacher")
            for key in sorted(mine.keys() & teachers.keys()):
                shown = known.setdefault(key[0], (train.prompts[key[0]], []))[1]
                shown.append(mine[key].won or not teachers[key].won)
    return [Lesson(prompt, 2 * sum(shown) >= len(shown)) for prompt, shown in known.values()]


def _train_splits(run: PlayedRun) -> list[str]:
    conditions = run.conditions
    tasks = suite(conditions["environment"], **conditions["options"])
    return [name for name in tasks.splits if name not in tasks.test_splits and name != conditions["split"]]


def _alike(one: JsonObject, other: JsonObject) -> bool:
    return _deciding(one) == _deciding(other)


def _deciding(conditions: JsonObject) -> str:
    """Return what the outcomes of student and teacher depend on, besides the tasks."""
    if "defaults" not in conditions:
        return ""
    kept = {
        name: conditions.get(name) for name in ("environment", "max_steps", "runtime", "memory", "embedder")
    }
    kept["k"] = conditions["defaults"]["k"]
    for name in ("student", "teacher"):
        kept[name] = {**(conditions[name] or {}), "price": None}
    return json.dumps(kept, sort_keys=True)


def _embedding(run: PlayedRun) -> Embed:
    """Return the run's embedder; goals that were looked for before are in the store already."""
    from icd.assembly import make_embedder
    from icd.config import MemorySettings
    from icd_memory.embedding import CachedEmbedder

    embedder = make_embedder(MemorySettings(embedder=run.conditions["embedder"]))
    return CachedEmbedder(embedder, run.store).embed
