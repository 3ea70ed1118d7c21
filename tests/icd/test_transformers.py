"""The transformers backend against slow, obvious computations of the same."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_checkpoint import write_checkpoint

from icd.backends.base import ChatRequest, Message
from icd.backends.transformers import TransformersBackend, _next_tokens, _scores
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
            logits = loaded.model(torch.tensor([ids], device=loaded.model.device)).logits
            after = torch.log_softmax(logits[0].float(), -1)
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
    assert response.completions[0].finish == "stop"


async def test_an_answer_that_is_cut_off_says_so(checkpoint: Path) -> None:
    request = ChatRequest((Message("user", "Task"),), n=2, temperature=1.0, max_tokens=3, seed=3)
    response = await TransformersBackend(checkpoint).complete(request)
    assert {one.finish for one in response.completions} == {"length"}
    assert response.usage.output_tokens == 6


async def test_a_sample_depends_on_its_own_seed_and_not_on_those_beside_it(checkpoint: Path) -> None:
    backend = TransformersBackend(checkpoint)
    three = ChatRequest((Message("user", "Task"),), n=3, temperature=1.0, max_tokens=20, seed=7)
    together = [one.text for one in (await backend.complete(three)).completions]
    alone = [(await backend.complete(replace(three, n=1, seed=7 + i))).completions[0].text for i in range(3)]
    assert together == alone
    assert len(set(together)) == 3


async def test_without_temperature_it_says_what_transformers_itself_would(checkpoint: Path) -> None:
    import torch

    backend = TransformersBackend(checkpoint)
    loaded = backend._load()
    ids = torch.tensor([loaded.tokenizer("Task")["input_ids"]], device=loaded.model.device)
    out = loaded.model.generate(input_ids=ids, max_new_tokens=12, do_sample=False)
    request = ChatRequest((Message("user", "Task"),), temperature=0.0, max_tokens=12)
    text = (await backend.complete(request)).completions[0].text
    assert text == loaded.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


def test_tokens_are_drawn_by_their_tempered_probability() -> None:
    torch = pytest.importorskip("torch")
    chances, temperature = torch.tensor([0.5, 0.3, 0.2]), 2.0
    logits = chances.log().expand(4000, -1)
    noise = [torch.Generator().manual_seed(i) for i in range(4000)]
    drawn = torch.bincount(_next_tokens(logits, temperature, noise), minlength=3) / 4000
    assert drawn.tolist() == pytest.approx(torch.softmax(chances.log() / temperature, 0).tolist(), abs=0.03)


def test_a_checkpoint_that_cannot_be_read_is_a_typed_error(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFilesError, match="cannot be loaded"):
        TransformersBackend(tmp_path).count_tokens("x")


def test_several_threads_may_need_it_first(checkpoint: Path) -> None:
    """PyTorch and transformers fail when two threads import them at once."""
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "from icd.backends.transformers import TransformersBackend\n"
        "ask = lambda i: TransformersBackend(sys.argv[1]).count_tokens('abc')\n"
        "with Pool(8) as pool: print(set(pool.map(ask, range(8))))"
    )
    command = [sys.executable, "-c", code, str(checkpoint)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "{3}\n"
