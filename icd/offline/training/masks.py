"""Which tokens are learnt: those that the student writes itself, and nothing else.

Each learnt turn is rendered twice, up to it and with it, by the model's own chat template or as the plain transcript
of `icd.backends.local`: what the second adds is what the student writes. A cue (``Think:``) that the runtime puts into
the prompt is not learnt; a turn's end is, and what a template puts after it is not. Turns of one conversation share
a sequence where the later ones see the earlier ones as they were written; otherwise each has its own, since that is
what the student will see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from icd.errors import ConfigurationError
from icd.offline.training.rows import Conversation, Turn
from icd.prompting import ACT, PLAN, THINK

IGNORED = -100
"""The label of a token that is not learnt."""
CUES = (THINK, ACT, PLAN)

Style = Literal["plain", "chat"]


@dataclass(frozen=True, slots=True)
class Masked:
    """A sequence of tokens; `labels` are the same where they are learnt, and -100 elsewhere."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def prompt_length(self) -> int:
        """Tokens before the first one that is learnt."""
        return next((i for i, label in enumerate(self.labels) if label != IGNORED), len(self.labels))


class Written(NamedTuple):
    """What a student reads and writes at one turn."""

    prompt: str
    """With the cue."""
    answer: str
    """With the turn's end."""
    turn: Turn


def mask(conversation: Conversation, tokenizer: Any, style: Style) -> list[Masked]:
    """Return a conversation's sequences; several turns share one where they can.

    Raises:
        ConfigurationError: the template cannot render it, or not so that the turns can be told apart.
    """
    return [_masked(texts, tokenizer) for texts in _shared(written(conversation, tokenizer, style))]


def mask_turns(conversation: Conversation, tokenizer: Any, style: Style) -> list[Masked]:
    """Return one sequence for each learnt turn: a prompt, then what is learnt. Raises as `mask`."""
    return [_masked([one], tokenizer) for one in written(conversation, tokenizer, style)]


def mask_written(one: Written, tokenizer: Any) -> Masked:
    """Return the sequence of one turn."""
    return _masked([one], tokenizer)


def written(conversation: Conversation, tokenizer: Any, style: Style) -> list[Written]:
    """Return what the student reads and writes at each learnt turn. Raises as `mask`."""
    turns = conversation.messages
    numbers = [number for number, turn in enumerate(turns) if turn.learnt]
    if style == "plain":
        return [_plain(conversation, number, tokenizer) for number in numbers]
    return [_chat(conversation, number, tokenizer) for number in numbers]


def cue_of(conversation: Conversation, number: int) -> str:
    """Return the cue that a turn begins with; empty: none."""
    text = conversation.messages[number].text
    last = number == len(conversation.messages) - 1
    cues = CUES if conversation.cue is None or not last else (conversation.cue,)
    return next((cue for cue in cues if text.startswith(cue)), "")


def _plain(conversation: Conversation, number: int, tokenizer: Any) -> Written:
    turn, seen = conversation.messages[number], conversation.messages[: number + 1]
    if conversation.tools or any(one.tool_calls or one.role == "tool" for one in seen):
        raise ConfigurationError("a plain transcript has no tools: set style = 'chat' for these examples")
    before = "\n\n".join(one.text for one in seen[:-1])
    cue = cue_of(conversation, number)
    beginning = tokenizer.bos_token if _begins_by_itself(tokenizer) else ""
    return Written(f"{beginning}{before}\n{cue}", turn.text.removeprefix(cue).rstrip("\n") + "\n", turn)


def _begins_by_itself(tokenizer: Any) -> bool:
    """Say whether the tokenizer puts its own mark before a text, as the backends let it."""
    first = tokenizer("a")["input_ids"][:1]
    return tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id]


def _chat(conversation: Conversation, number: int, tokenizer: Any) -> Written:
    turn = conversation.messages[number]
    prompt = _render(conversation, number, tokenizer, generation=True)
    whole = _render(conversation, number + 1, tokenizer, generation=False)
    if not whole.startswith(prompt):
        raise ConfigurationError(
            "this chat template renders an answer otherwise than after its own generation prompt, so what the "
            f"student writes cannot be told: {prompt[-60:]!r} is no beginning of {whole[-120:]!r}"
        )
    answer, cue = whole[len(prompt) :], cue_of(conversation, number)
    if answer.lstrip().startswith(cue):
        # Some templates write a space before an answer; it belongs to the cue.
        given = answer.index(cue) + len(cue) if cue else 0
        prompt, answer = prompt + answer[:given], answer[given:]
    return Written(prompt, _to_the_end_of_turn(answer, tokenizer), turn)


def _render(conversation: Conversation, count: int, tokenizer: Any, *, generation: bool) -> str:
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise ConfigurationError("this model has no chat template: set style = 'plain'")
    messages = [turn.for_template() for turn in conversation.messages[:count]]
    tools = [dict(tool) for tool in conversation.tools] or None
    try:
        return str(
            tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=False, add_generation_prompt=generation
            )
        )
    except TemplateError as error:
        raise ConfigurationError(f"the chat template refuses these messages: {error}") from error


def _to_the_end_of_turn(answer: str, tokenizer: Any) -> str:
    """Cut what a template puts after the mark at which the model stops: it is never written."""
    body = answer.rstrip()
    return body if any(body.endswith(token) for token in tokenizer.all_special_tokens) else answer


def _shared(turns: Sequence[Written]) -> Iterator[list[Written]]:
    """Yield the turns of each sequence: all whose text is a beginning of the next one's prompt."""
    together: list[Written] = []
    for one in turns:
        if together and not one.prompt.startswith(together[-1].prompt + together[-1].answer):
            yield together
            together = []
        together.append(one)
    if together:
        yield together


def _masked(turns: Sequence[Written], tokenizer: Any) -> Masked:
    text = turns[-1].prompt + turns[-1].answer
    spans = [(len(one.prompt), len(one.prompt) + len(one.answer)) for one in turns]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = tuple(encoded["input_ids"])
    labels = tuple(
        token if any(begin < to and start < end and start < to for begin, end in spans) else IGNORED
        for token, (start, to) in zip(ids, encoded["offset_mapping"], strict=True)
    )
    return Masked(ids, labels)
