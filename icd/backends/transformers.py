"""A checkpoint in a local folder, through PyTorch (extra ``transformers``).

Slower than `icd.backends.local`; for checkpoints that are still being trained or have no GGUF file. A choice
is drawn among the given ones by the sum of the log-probabilities of its tokens, so an answer is always one of
them.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple, Self

from icd.backends.base import Capabilities, ChatRequest, ChatResponse, Completion, Location, Usage
from icd.errors import MissingExtraError, ModelFilesError

__all__ = ["TransformersBackend"]

_THOUGHT_TOKENS = 60
_LOADING = threading.RLock()
"""PyTorch and transformers cannot be imported by two threads at once, and weights are wanted once."""


class _Loaded(NamedTuple):
    tokenizer: Any
    model: Any


class _Text(NamedTuple):
    text: str
    tokens: int
    logprob: float
    finish: str = "stop"


class TransformersBackend:
    """Answers with a local checkpoint, loaded at the first use: on the GPU where PyTorch finds one, else on the CPU."""

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
        self._tokenizer: Any = None
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
            tuple(Completion(text.text, text.finish, text.logprob) for text in texts),
            Usage(read, 0, sum(text.tokens for text in texts)),
            self.model,
            time.perf_counter() - started,
        )

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens by the model's own tokenizer."""
        tokenizer = self._loaded.tokenizer if self._loaded else self._load_tokenizer()
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    async def close(self) -> None:
        """Forget the weights."""
        self._loaded = None

    def _load(self) -> _Loaded:
        with _LOADING:
            if self._loaded is None:
                tokenizer = self._load_tokenizer()
                import torch
                from transformers import AutoModelForCausalLM

                if self._threads:
                    torch.set_num_threads(self._threads)
                with self._reading():
                    model = AutoModelForCausalLM.from_pretrained(self._path, local_files_only=True)
                if torch.cuda.is_available():
                    model = model.to("cuda")
                self._loaded = _Loaded(tokenizer, model.eval())
            return self._loaded

    def _load_tokenizer(self) -> Any:
        """Return the tokenizer alone: counting needs no weights."""
        with _LOADING:
            if self._tokenizer is None:
                try:
                    import torch  # noqa: F401
                    from transformers import AutoTokenizer
                except ImportError as error:
                    raise MissingExtraError("a transformers checkpoint", "transformers") from error
                with self._reading():
                    self._tokenizer = AutoTokenizer.from_pretrained(self._path, local_files_only=True)
            return self._tokenizer

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with _without_progress_bars():
                yield
        except (OSError, ValueError, KeyError) as error:
            raise ModelFilesError(f"the checkpoint in {self._path} cannot be loaded: {error}") from error

    def _answer(self, request: ChatRequest) -> tuple[list[_Text], int]:
        import torch

        loaded = self._load()
        prompt = self._prompt(request, loaded)
        with torch.inference_mode():
            if request.choices is None:
                texts = _generate(loaded, prompt, request)
            elif request.cue == request.choice_cue:
                scores = _scores(loaded, prompt, request.choices)
                texts = [_draw(request, scores, i) for i in range(request.n)]
            else:
                texts = _think_and_choose(loaded, prompt, request)
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


def _read(loaded: _Loaded, prompt: Sequence[int]) -> tuple[Any, Any]:
    """Return the logits of what follows a prompt, of shape (vocabulary,), and the cache of the prompt."""
    import torch

    ids = torch.tensor([list(prompt)], device=loaded.model.device)
    out = loaded.model(input_ids=ids, use_cache=True, logits_to_keep=1)
    return out.logits[0, -1].float(), out.past_key_values


def _generate(loaded: _Loaded, prompt: Sequence[int], request: ChatRequest) -> list[_Text]:
    """Draw all samples side by side; sample i is that of seed + i alone, whatever their number."""
    import torch

    first, cache = _read(loaded, prompt)
    cache.batch_repeat_interleave(request.n)
    logits = first.expand(request.n, -1)
    device, ends = loaded.model.device, _ends(loaded)
    noise = [torch.Generator(device) for _ in range(request.n)]
    for i, generator in enumerate(noise):
        _ = generator.seed() if request.seed is None else generator.manual_seed(request.seed + i)
    rows: list[list[int]] = [[] for _ in noise]
    sums, ended = [0.0] * request.n, [""] * request.n
    while True:
        drawn = _next_tokens(logits, request.temperature, noise)
        chances = torch.log_softmax(logits, -1).gather(1, drawn[:, None])[:, 0].tolist()
        for i, token in enumerate(drawn.tolist()):
            if not ended[i]:
                rows[i].append(token)
                sums[i] += chances[i]
                if token in ends or _stopped(loaded, rows[i], request.stop):
                    ended[i] = "stop"
                elif len(rows[i]) == request.max_tokens:
                    ended[i] = "length"
        if all(ended):
            break
        out = loaded.model(input_ids=drawn[:, None], past_key_values=cache, use_cache=True)
        logits, cache = out.logits[:, -1].float(), out.past_key_values
    return [
        _Text(_decoded(loaded, row, request.stop), len(row), total, finish)
        for row, total, finish in zip(rows, sums, ended, strict=True)
    ]


def _next_tokens(logits: Any, temperature: float | None, noise: Sequence[Any]) -> Any:
    """Draw a token a row from the tempered distribution: the largest of the logits with Gumbel noise."""
    import torch

    if temperature is not None and temperature <= 0:
        return logits.argmax(-1)
    rows = [torch.empty_like(logits[0]).exponential_(generator=generator) for generator in noise]
    return (logits / (temperature or 1.0) - torch.stack(rows).log()).argmax(-1)


def _ends(loaded: _Loaded) -> frozenset[int]:
    """Return the tokens at which an answer is over."""
    configured = loaded.model.generation_config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*several, loaded.tokenizer.eos_token_id) if token is not None)


def _stopped(loaded: _Loaded, row: Sequence[int], stop: Sequence[str]) -> bool:
    if not stop:
        return False
    tail = loaded.tokenizer.decode(row[-8 - max(map(len, stop)) :])
    return any(end in tail for end in stop)


def _decoded(loaded: _Loaded, row: Sequence[int], stop: Sequence[str]) -> str:
    text: str = loaded.tokenizer.decode(row, skip_special_tokens=True)
    for end in stop:
        text = text.partition(end)[0]
    return text


def _think_and_choose(loaded: _Loaded, prompt: Sequence[int], request: ChatRequest) -> list[_Text]:
    limit = min(request.max_tokens, _THOUGHT_TOKENS)
    thinking = replace(request, max_tokens=limit, stop=("\n",), choices=None)
    scored: dict[str, list[_Text]] = {}
    texts = []
    for number, thought in enumerate(_generate(loaded, prompt, thinking)):
        bridge = f"{thought.text.rstrip()}\n{request.choice_cue}"
        if bridge not in scored:
            between = loaded.tokenizer(bridge, add_special_tokens=False)["input_ids"]
            scored[bridge] = _scores(loaded, [*prompt, *between], request.choices or ())
        chosen = _draw(request, scored[bridge], number)
        texts.append(
            _Text(bridge + chosen.text, thought.tokens + chosen.tokens, thought.logprob + chosen.logprob)
        )
    return texts


def _scores(loaded: _Loaded, prompt: Sequence[int], choices: Sequence[str]) -> list[_Text]:
    """Return each choice with its log-probability after the prompt, which is computed once for all.

    A choice begins with a space and ends with a line end, as it would in a text.
    """
    import torch

    tokens = [loaded.tokenizer(f" {choice}\n", add_special_tokens=False)["input_ids"] for choice in choices]
    device, longest = loaded.model.device, max(map(len, tokens))
    first, cache = _read(loaded, prompt)
    cache.batch_repeat_interleave(len(choices))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in tokens], device=device)
    kept = [[1] * len(row) + [0] * (longest - len(row)) for row in tokens]
    mask = torch.tensor([[1] * len(prompt) + row for row in kept], device=device)
    logits = loaded.model(input_ids=padded, attention_mask=mask, past_key_values=cache).logits
    after = torch.log_softmax(logits[:, :-1].float(), -1).gather(2, padded[:, 1:, None])[..., 0]
    counted = torch.tensor(kept, device=device)[:, 1:]
    totals = torch.log_softmax(first, -1)[padded[:, 0]] + (after * counted).sum(1)
    return [
        _Text(f" {choice}", len(row), total)
        for choice, row, total in zip(choices, tokens, totals.tolist(), strict=True)
    ]


def _draw(request: ChatRequest, scored: Sequence[_Text], number: int) -> _Text:
    """Draw a choice in proportion to its probability at the request's temperature."""
    best = max(scored, key=lambda one: one.logprob)
    temperature = 1.0 if request.temperature is None else request.temperature
    if temperature <= 0:
        return best
    weights = [math.exp((one.logprob - best.logprob) / temperature) for one in scored]
    seed = None if request.seed is None else request.seed + number
    return Random(seed).choices(scored, weights)[0]
