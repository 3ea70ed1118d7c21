"""Token by token: the student learns what it writes itself, on three chat templates and as a transcript."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("transformers", reason="the extra `train` is not installed")

from tiny_students import MERGES, TEMPLATES, example_rows, tokenizer_of

from icd.errors import ConfigurationError
from icd.offline.examples import plain_text
from icd.offline.training.masks import IGNORED, Masked, mask, mask_turns
from icd.offline.training.rows import Conversation

CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "open", "arguments": '{"what": "box"}'},
}
TOOLS = [
    {"type": "function", "function": {"name": "open", "parameters": {"type": "object", "properties": {}}}}
]


def conversation(*, tools: bool) -> Conversation:
    second: dict[str, Any] = {"role": "assistant", "content": "Think: it is shut\nAction: open box"}
    answer = {"role": "user", "content": "The box is open."}
    if tools:
        second = {"role": "assistant", "content": "", "tool_calls": [CALL]}
        answer = {"role": "tool", "tool_call_id": "call_1", "name": "open", "content": "The box is open."}
    return Conversation.model_validate(
        {
            "messages": [
                {"role": "user", "content": "Task: take the cup"},
                {"role": "assistant", "content": "a demonstration", "weight": 0},
                {"role": "user", "content": "You see a box."},
                second,
                answer,
                {"role": "user", "content": "Go on."},
                {"role": "assistant", "content": "Action: take the cup", "weight": 1},
            ],
            "tools": TOOLS if tools else [],
        }
    )


def learnt(masked: Masked, tokenizer: Any) -> list[str]:
    """The learnt runs of tokens, as texts."""
    runs: list[list[int]] = []
    before = IGNORED
    for token, label in zip(masked.input_ids, masked.labels, strict=True):
        assert label in (IGNORED, token)
        if label != IGNORED:
            if before == IGNORED:
                runs.append([])
            runs[-1].append(token)
        before = label
    return [tokenizer.decode(run) for run in runs]


FUNCTION = '{"name": "open", "arguments": {"what": "box"}}'
LEARNT = {
    ("chatml", False): [" it is shut\nAction: open box<|im_end|>", " take the cup<|im_end|>"],
    ("chatml", True): [f"<tool_call>{FUNCTION}</tool_call><|im_end|>", " take the cup<|im_end|>"],
    ("headers", False): [" it is shut\nAction: open box<|eot|>", " take the cup<|eot|>"],
    ("headers", True): [f"{FUNCTION}<|eot|>", " take the cup<|eot|>"],
    ("instructions", False): [" it is shut\nAction: open box<|eot|>", " take the cup<|eot|>"],
    ("instructions", True): [
        f' [CALLS][{{"id": "call_1", "type": "function", "function": {FUNCTION}}}]<|eot|>',
        " take the cup<|eot|>",
    ],
}


@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_only_the_students_own_turns_are_learnt(template: str, tools: bool) -> None:
    tokenizer, row = tokenizer_of(template), conversation(tools=tools)
    made = mask(row, tokenizer, "chat")
    found = [text for one in made for text in learnt(one, tokenizer)]
    assert found == LEARNT[template, tools]
    for one in made:
        shown = tokenizer.decode(one.input_ids)
        assert "a demonstration" in shown
    # Where the tools move with the last question, the later turn does not see the earlier one as it was written.
    assert len(made) == (2 if template == "instructions" and tools else 1)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_prompt_is_token_for_token_what_the_student_is_given(template: str) -> None:
    tokenizer, row = tokenizer_of(template), conversation(tools=True)
    for number, one in zip((3, 6), mask_turns(row, tokenizer, "chat"), strict=True):
        given = tokenizer.apply_chat_template(
            [turn.for_template() for turn in row.messages[:number]],
            tools=TOOLS,
            tokenize=False,
            add_generation_prompt=True,
        )
        cue = {"instructions": " Action:"}.get(template, "Action:") if number == 6 else ""
        ids = tokenizer(given + cue, add_special_tokens=False)["input_ids"]
        assert list(one.input_ids[: one.prompt_length]) == ids
        assert one.labels[one.prompt_length :] == one.input_ids[one.prompt_length :]
        assert one.input_ids[-1] == tokenizer.eos_token_id


def test_a_transcript_is_that_of_the_backends_and_of_the_data_set() -> None:
    tokenizer = tokenizer_of("chatml")
    for row in example_rows():
        (one,) = mask(Conversation.model_validate(row), tokenizer, "plain")
        *prompt, answer = row["messages"]
        expected = plain_text(prompt, answer, row["cue"])
        start = tokenizer(expected.prompt, add_special_tokens=False)["input_ids"]
        assert list(one.input_ids[: one.prompt_length]) == start
        assert tokenizer.decode(one.input_ids) == expected.prompt + expected.completion
        assert learnt(one, tokenizer) == [expected.completion]


def test_a_transcript_of_several_turns_is_a_sequence_a_turn() -> None:
    tokenizer = tokenizer_of("chatml")
    first, second = mask(conversation(tools=False), tokenizer, "plain")
    assert learnt(first, tokenizer) == [" it is shut\nAction: open box\n"]
    assert learnt(second, tokenizer) == [" take the cup\n"]
    assert tokenizer.decode(second.input_ids).endswith("Go on.\nAction: take the cup\n")


def test_a_mark_that_the_tokenizer_puts_before_a_text_is_there_and_not_learnt() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = tokenizer_of("headers")
    begin = tokenizer.convert_tokens_to_ids("<|begin|>")
    tokenizer.bos_token = "<|begin|>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", begin)]
    )
    (one,) = mask(Conversation.model_validate(example_rows()[0]), tokenizer, "plain")
    assert one.input_ids[:1] == (begin,)
    assert one.labels[0] == IGNORED
    assert one.input_ids.count(begin) == 1


def test_what_cannot_be_rendered_is_refused() -> None:
    tokenizer = tokenizer_of("chatml")
    with pytest.raises(ConfigurationError, match="plain transcript has no tools"):
        mask(conversation(tools=True), tokenizer, "plain")
    tokenizer.chat_template = "{% for m in messages %}{{ loop.length }}{{ m.content }}{% endfor %}"
    with pytest.raises(ConfigurationError, match="cannot be told"):
        mask(conversation(tools=False), tokenizer, "chat")
    tokenizer.chat_template = "{{ raise_exception('no system turn') }}"
    with pytest.raises(ConfigurationError, match="no system turn"):
        mask(conversation(tools=False), tokenizer, "chat")
    tokenizer.chat_template = None
    with pytest.raises(ConfigurationError, match="no chat template"):
        mask(conversation(tools=False), tokenizer, "chat")


def test_merges_are_used() -> None:
    """The tokenizers of these tests do merge, so that boundaries could be missed."""
    tokenizer = tokenizer_of("chatml")
    assert len(tokenizer("open the", add_special_tokens=False)["input_ids"]) < len("open the")
    assert MERGES
