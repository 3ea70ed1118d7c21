"""The transformers backend against slow, obvious computations of the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_checkpoint import write_checkpoint

from icd.backends.base import ChatRequest, Message
from icd.backends.transformers import TransformersBackend, _scores
from icd.errors import ModelFilesError

PROMPT = "Task: find a cup\nAction:"
CHOICES = ("look", "go to cabinet 1", "open it")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("tiny"))


def test_choices_are_scored_as_whole_sequences_would_be(checkpoint: Path) -> None:
    import torch

    loaded = TransformersBackend(checkpoint)._load()
    prompt = loaded.tokenizer(PROMPT)["input_ids"]
    with torch.inference_mode():
        for choice, scored in zip(CHOICES, _scores(loaded, prompt, CHOICES), strict=True):
            ids = loaded.tokenizer(f"{PROMPT} {choice}\n")["input_ids"]
            after = torch.log_softmax(loaded.model(torch.tensor([ids])).logits[0].float(), -1)
            naive = sum(float(after[i - 1, ids[i]]) for i in range(len(prompt), len(ids)))
            assert scored.logprob == pytest.approx(naive, abs=1e-3)
            assert scored.text == f" {choice}"


async def test_choices_are_drawn_by_their_probability(checkpoint: Path) -> None:
    backend = TransformersBackend(checkpoint)
    request = ChatRequest(
        (Message("user", "Task"),), 40, 8.0, seed=1, cue="Action:", choice_cue="Action:", choices=CHOICES
    )
    drawn = {completion.text for completion in (await backend.complete(request)).completions}
    assert len(drawn) > 1
    assert drawn <= {f" {choice}" for choice in CHOICES}


async def test_an_answer_ends_at_the_stop(checkpoint: Path) -> None:
    backend = TransformersBackend(checkpoint)
    free = ChatRequest((Message("user", "Task"),), temperature=1.0, max_tokens=40, seed=3)
    text = (await backend.complete(free)).completions[0].text
    end = next(letter for letter in text if letter.isascii() and letter.isprintable())
    stopped = ChatRequest(free.messages, temperature=1.0, max_tokens=40, seed=3, stop=(end,))
    response = await backend.complete(stopped)
    assert response.completions[0].text == text.partition(end)[0]
    assert response.usage.output_tokens < 40


def test_a_checkpoint_that_cannot_be_read_is_a_typed_error(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFilesError, match="cannot be loaded"):
        TransformersBackend(tmp_path).count_tokens("x")
