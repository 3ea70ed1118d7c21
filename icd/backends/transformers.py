"""A checkpoint in a local folder, through PyTorch (extra ``transformers``).

Slower than `icd.backends.local`; for checkpoints that are still being trained or have no GGUF file. A choice
is drawn among the given ones by the sum of the log-probabilities of its tokens, so an answer is always one of
them.
"""

from __future__ import annotations

import asyncio
import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple, Self

from icd.backends.base import Capabilities, ChatRequest, ChatResponse, Completion, Location, Usage
from icd.errors import MissingExtraError, ModelFilesError

__all__ = ["TransformersBackend"]

_THOUGHT_TOKENS = 60


class _Loaded(NamedTuple):
    tokenizer: Any
    model: Any


class _Text(NamedTuple):
    text: str
    tokens: int
    logprob: float


class TransformersBackend:
    """Answers with a local checkpoint. It is loaded at the first use, on the CPU."""

    def __init__(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        style: Literal["plain", "chat"] = "plain",
        context: int = 4096,
        threads: int | None = None,
    ) -> None:
        """Prepare a checkpoint folder, as ``save_pretrained`` writes it.

        Args:
            path: the folder; nothing is downloaded.
            model: its name in prices and receipts; the folder's name if not given.
            style: how messages become a prompt: a transcript, or the tokenizer's chat template.
            context: the window, in tokens.
            threads: CPU threads; as PyTorch chooses if not given.

        Raises:
            ModelFilesError: the folder is no checkpoint.
        """
        self._path = Path(path).expanduser()
        if not (self._path / "config.json").is_file():
            raise ModelFilesError(f"no checkpoint in {str(self._path)!r}: it needs at least a config.json")
        self.model = model or self._path.name
        self.capabilities = Capabilities(
            shared_prompt=True, constrained=True, context_tokens=context, seeded=True
        )
        self.location = Location("transformers", in_process=True)
        self._style = style
        self._threads = threads
        self._loaded: _Loaded | None = None
        self._lock = asyncio.Lock()

    @classmethod
    def of_loaded(
        cls, model: Any, tokenizer: Any, folder: str | Path, *, style: Literal["plain", "chat"] = "plain"
    ) -> Self:
        """Answer with a model that is in memory already, such as one in training; `folder` holds its base."""
        backend = cls(folder, style=style)
        backend._loaded = _Loaded(tokenizer, model)
        return backend

    async def complete(self, request: ChatRequest) -> ChatResponse:
        """Answer; one request at a time.

        Raises:
            ModelFilesError: the checkpoint cannot be loaded.
            MissingExtraError: the optional parts are not installed.
        """
        started = time.perf_counter()
        async with self._lock:
            texts, read = await asyncio.to_thread(self._answer, request)
        return ChatResponse(
            tuple(Completion(text.text, "stop", text.logprob) for text in texts),
            Usage(read, 0, sum(text.tokens for text in texts)),
            self.model,
            time.perf_counter() - started,
        )

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by the model's own tokenizer."""
        return len(self._load().tokenizer(text, add_special_tokens=False)["input_ids"])

    async def close(self) -> None:
        """Forget the weights."""
        self._loaded = None

    def _load(self) -> _Loaded:
        if self._loaded is None:
            try:
                import torch
                from transformers import AutoModelForCausalLM, AutoTokenizer
            except ImportError as error:
                raise MissingExtraError("a transformers checkpoint", "transformers") from error
            if self._threads:
                torch.set_num_threads(self._threads)
            try:
                with _without_progress_bars():
                    tokenizer = AutoTokenizer.from_pretrained(self._path, local_files_only=True)
                    model = AutoModelForCausalLM.from_pretrained(self._path, local_files_only=True)
            except (OSError, ValueError, KeyError) as error:
                raise ModelFilesError(f"the checkpoint in {self._path} cannot be loaded: {error}") from error
            self._loaded = _Loaded(tokenizer, model.eval())
        return self._loaded

    def _answer(self, request: ChatRequest) -> tuple[list[_Text], int]:
        import torch

        loaded = self._load()
        prompt = self._prompt(request, loaded)
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            if request.choices is None:
                texts = [_generate(loaded, prompt, request, i) for i in range(request.n)]
            elif request.cue == request.choice_cue:
                scores = _scores(loaded, prompt, request.choices)
                texts = [_draw(request, scores, i) for i in range(request.n)]
            else:
                texts = [_think_and_choose(loaded, prompt, request, i) for i in range(request.n)]
        return texts, len(prompt)

    def _prompt(self, request: ChatRequest, loaded: _Loaded) -> list[int]:
        """Return the prompt's tokens, up to and with the cue."""
        if self._style == "plain":
            text = "\n\n".join(message.content for message in request.messages)
            text = f"{text}\n{request.cue}" if request.cue else text
            return list(loaded.tokenizer(text)["input_ids"])
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        text = loaded.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return list(loaded.tokenizer(text + request.cue, add_special_tokens=False)["input_ids"])


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _generate(loaded: _Loaded, prompt: Sequence[int], request: ChatRequest, number: int) -> _Text:
    """Sample number `number`: that of seed + number alone."""
    import torch

    if request.seed is not None:
        torch.manual_seed(request.seed + number)
    else:
        torch.seed()
    sampling: dict[str, float] = {"do_sample": False}
    temperature = 1.0 if request.temperature is None else request.temperature
    if temperature > 0:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    ids = torch.tensor([list(prompt)], device=loaded.model.device)
    tokenizer = loaded.tokenizer
    stop = {"stop_strings": list(request.stop), "tokenizer": tokenizer} if request.stop else {}
    out = loaded.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=request.max_tokens,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        return_dict_in_generate=True,
        output_logits=True,
        **sampling,
        **stop,
    )
    new = out.sequences[0, len(prompt) :]
    logprob = sum(
        float(torch.log_softmax(logits[0].float(), -1)[token])
        for logits, token in zip(out.logits, new, strict=True)
    )
    text = tokenizer.decode(new, skip_special_tokens=True)
    for end in request.stop:
        text = text.partition(end)[0]
    return _Text(text, len(new), logprob)


def _think_and_choose(loaded: _Loaded, prompt: Sequence[int], request: ChatRequest, number: int) -> _Text:
    limit = min(request.max_tokens, _THOUGHT_TOKENS)
    thinking = ChatRequest(
        request.messages, 1, request.temperature, limit, request.seed, ("\n",), request.cue
    )
    thought = _generate(loaded, prompt, thinking, number)
    bridge = f"{thought.text.rstrip()}\n{request.choice_cue}"
    between = loaded.tokenizer(bridge, add_special_tokens=False)["input_ids"]
    chosen = _draw(request, _scores(loaded, [*prompt, *between], request.choices or ()), number)
    return _Text(bridge + chosen.text, thought.tokens + chosen.tokens, thought.logprob + chosen.logprob)


def _scores(loaded: _Loaded, prompt: Sequence[int], choices: Sequence[str]) -> list[_Text]:
    """Return each choice with its log-probability after the prompt, which is computed once for all.

    A choice begins with a space and ends with a line end, as it would in a text.
    """
    import torch

    tokens = [loaded.tokenizer(f" {choice}\n", add_special_tokens=False)["input_ids"] for choice in choices]
    device = loaded.model.device
    before = loaded.model(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True)
    first = torch.log_softmax(before.logits[0, -1].float(), -1)
    longest = max(map(len, tokens))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in tokens], device=device)
    rows = [[1] * (len(prompt) + len(row)) + [0] * (longest - len(row)) for row in tokens]
    mask = torch.tensor(rows, device=device)
    cache = copy.deepcopy(before.past_key_values)
    cache.batch_repeat_interleave(len(choices))
    logits = loaded.model(input_ids=padded, attention_mask=mask, past_key_values=cache).logits
    after = torch.log_softmax(logits.float(), -1)
    found = []
    for row, (choice, ids) in enumerate(zip(choices, tokens, strict=True)):
        total = float(first[ids[0]]) + sum(float(after[row, i, ids[i + 1]]) for i in range(len(ids) - 1))
        found.append(_Text(f" {choice}", len(ids), total))
    return found


def _draw(request: ChatRequest, scored: Sequence[_Text], number: int) -> _Text:
    """Draw a choice in proportion to its probability at the request's temperature."""
    best = max(scored, key=lambda one: one.logprob)
    temperature = 1.0 if request.temperature is None else request.temperature
    if temperature <= 0:
        return best
    weights = [math.exp((one.logprob - best.logprob) / temperature) for one in scored]
    seed = None if request.seed is None else request.seed + number
    return Random(seed).choices(scored, weights)[0]
