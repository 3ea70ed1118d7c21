"""A DSPy program that decides the steps of episodes, in a process and an environment of its own.

    python dspy_program.py SETTINGS.json

One JSON object a line, in and out. In: ``{"goal", "state", "admissible", "seed"}``; out: ``{"action", "reasoning",
"usage"}``, or ``{"failed": why}`` where the model could not be asked. It asks ``{"embed": [texts]}`` whenever DSPy wants
vectors, and is answered ``{"vectors": [...]}``. It knows no world: that is stepped by who reads its answers.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
# Libraries print what they like: answers go where nobody else writes.
os.dup2(2, 1)

import dspy  # noqa: E402
import numpy as np  # noqa: E402
from dspy.teleprompt import BootstrapFewShot, KNNFewShot  # noqa: E402
from dspy.utils.exceptions import AdapterParseError  # noqa: E402

MARKERS = 48
"""Tokens of DSPy's section markers, on top of those that an answer may have."""


class NextStep(dspy.Signature):
    """Carry out a household task by text commands, one at a time. Say what is needed and why, then give exactly one
    command that is possible now."""

    goal: str = dspy.InputField(desc="the task")
    state: str = dspy.InputField(desc="what is known, carried and seen now")
    reasoning: str = dspy.OutputField(desc="what is needed now and why, in one line")
    action: str = dspy.OutputField(desc="the command")


def ask(request: dict[str, Any]) -> dict[str, Any]:
    _say(request)
    return dict(json.loads(sys.stdin.readline()))


def _say(record: dict[str, Any]) -> None:
    _ANSWERS.write(json.dumps(record) + "\n")
    _ANSWERS.flush()


def embed(texts: Sequence[str]) -> np.ndarray:
    return np.asarray(ask({"embed": list(texts)})["vectors"], dtype=np.float32)


def grammar(admissible: Sequence[str] | None, characters: int) -> str:
    """Return the grammar of an answer in DSPy's form: a line of reasoning, and one of the admissible actions, where they
    are known. The student of every other method is held to the same."""
    choices = " | ".join(_quoted(action) for action in admissible) if admissible else "[^\\n]{1,80}"
    thought = f"[^\\n]{{1,{characters}}}"
    head, middle = _quoted("[[ ## reasoning ## ]]\n"), _quoted("\n\n[[ ## action ## ]]\n")
    end = _quoted("\n\n[[ ## completed ## ]]")
    return f"root ::= {head} {thought} {middle} action {end}\naction ::= {choices}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class Program:
    """The compiled program and the model that it asks."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._lm = dspy.LM(
            f"openai/{settings['model']}",
            api_base=settings["base_url"],
            api_key="none",
            temperature=settings["temperature"],
            max_tokens=settings["max_tokens"] + MARKERS,
            cache=False,
            num_retries=1,
            timeout=600,
            engine="litellm",
        )
        dspy.configure(lm=self._lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False))
        self._program = self._compiled()

    def decide(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the next step; an answer that cannot be read is an empty action, as with every other method."""
        lm = self._model(asked["admissible"], asked["seed"])
        with dspy.context(lm=lm):
            try:
                said = self._program(goal=asked["goal"], state=asked["state"])
                answer = {"action": said.action, "reasoning": said.reasoning}
            except AdapterParseError:
                answer = {"action": "", "reasoning": ""}
        return {**answer, "usage": usage(lm)}

    def _model(self, admissible: Sequence[str] | None, seed: int) -> dspy.LM:
        own = {"grammar": grammar(admissible, self._settings["thought_characters"]), "cache_prompt": True}
        # A copy shares the history of the model that it was made from.
        self._lm.history.clear()
        lm = self._lm.copy(extra_body={**self._settings["sampling"], **own}, seed=seed)
        lm.history.clear()
        return lm

    def _compiled(self) -> dspy.Module:
        settings = self._settings
        examples = [
            dspy.Example(**example).with_inputs("goal", "state")
            for example in json.loads(Path(settings["examples"]).read_text())
        ]
        k = settings["k"]
        program = dspy.Predict(NextStep)
        if settings["method"] == "knn":
            # The teacher's steps are shown as they are: nothing is bootstrapped at a decision, which would cost k calls.
            vectorizer = dspy.Embedder(embed, caching=False)
            few_shot = {"max_bootstrapped_demos": 0, "max_labeled_demos": k}
            return KNNFewShot(k, examples, vectorizer, **few_shot).compile(program)
        saved = Path(settings["compiled"])
        if not saved.exists():
            self._bootstrap(program, examples, saved)
        program.load(str(saved))
        return program

    def _bootstrap(self, program: dspy.Module, examples: list[dspy.Example], saved: Path) -> None:
        k, settings = self._settings["k"], self._settings
        train = random.Random(settings["seed"]).sample(examples, min(settings["attempts"], len(examples)))
        optimizer = BootstrapFewShot(
            metric=lambda example, said, trace=None: said.action.strip() == example.action,
            max_bootstrapped_demos=k // 2,
            max_labeled_demos=k,
        )
        lm = self._model(None, settings["seed"])
        with dspy.context(lm=lm):
            optimizer.compile(program, trainset=train).save(f"{saved}.new.json")
        Path(f"{saved}.usage").write_text(json.dumps(usage(lm)))
        Path(f"{saved}.new.json").rename(saved)


def usage(lm: dspy.LM) -> list[dict[str, int]]:
    """Return the tokens of the model's calls."""
    found = []
    for entry in lm.history:
        counted = dict(entry["usage"])
        details = counted.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") if isinstance(details, dict) else details.cached_tokens
        found.append(
            {
                "input_tokens": counted["prompt_tokens"],
                "cached_tokens": cached or 0,
                "output_tokens": counted["completion_tokens"],
            }
        )
    return found


def main() -> None:
    program = Program(json.loads(Path(sys.argv[1]).read_text()))
    _say({"ready": dspy.__version__})
    for line in sys.stdin:
        try:
            _say(program.decide(json.loads(line)))
        except Exception as error:  # noqa: BLE001
            _say({"failed": f"{type(error).__name__}: {error}"[:500]})


if __name__ == "__main__":
    main()
