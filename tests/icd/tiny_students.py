"""Random students of a few kilobytes, three chat templates, and the traces that they learn from. Need PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

MERGES = ("e r", "o p", "op e", "ope n", "t h", "Ġ t", "a b", "Ġ c", "c o", "k e", "y Ċ")

CHATML = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen and SmolLM2 write it: a line end after the mark of a turn's end."""

HEADERS = (
    "<|begin|>{% if tools %}<|role|>system<|/role|>\n\nTools: {{ tools | tojson }}<|eot|>{% endif %}"
    "{% for m in messages %}<|role|>{{ 'ipython' if m.role == 'tool' else m.role }}<|/role|>\n\n"
    "{% if m.tool_calls %}{{ m.tool_calls[0].function | tojson }}{% else %}{{ m.content | trim }}{% endif %}"
    "<|eot|>{% endfor %}{% if add_generation_prompt %}<|role|>assistant<|/role|>\n\n{% endif %}"
)
"""As Llama 3 writes it: nothing between turns; a call instead of the text."""

INSTRUCTIONS = (
    "<|begin|>{% set asked = messages | selectattr('role', 'equalto', 'user') | list %}"
    "{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}"
    "{% if m.tool_calls %}[CALLS]{{ m.tool_calls | tojson }}{% endif %}<|eot|>"
    "{% elif m.role == 'tool' %}[RESULT]{{ m.content }}[/RESULT]"
    "{% else %}{% if tools and m == asked[-1] %}[TOOLS]{{ tools | tojson }}[/TOOLS]{% endif %}"
    "[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}"
)
"""As Mistral writes it: no generation prompt, and the tools stand before the last question only, so that a later turn
does not see the earlier ones as they were."""

TEMPLATES = {"chatml": CHATML, "headers": HEADERS, "instructions": INSTRUCTIONS}
ENDS = {"chatml": "<|im_end|>", "headers": "<|eot|>", "instructions": "<|eot|>"}
MARKS = ("<|im_start|>", "<|im_end|>", "<|begin|>", "<|role|>", "<|/role|>", "<|eot|>")


def tokenizer_of(template: str, merges: tuple[str, ...] = MERGES) -> Any:
    """A byte-level tokenizer with a few merges, and one of the templates."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in merges]
    vocabulary = {symbol: number for number, symbol in enumerate(dict.fromkeys(symbols))}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(merge.split()) for merge in merges]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=ENDS[template],
        additional_special_tokens=[mark for mark in MARKS if mark != ENDS[template]],
    )
    fast.chat_template = TEMPLATES[template]
    return fast


def write_student(
    folder: Path, *, seed: int = 0, merges: tuple[str, ...] = MERGES, positions: int = 512
) -> Path:
    """Write a random student, or skip the test where what trains it is not installed."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("trl")
    pytest.importorskip("peft")
    # Threads that wait for one another make so small a model many times slower on a busy machine.
    torch.set_num_threads(1)
    tokenizer = tokenizer_of("chatml", merges)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=positions,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


STEPS = (
    ("You see a desk and a key.", "the key opens the box", "take key"),
    ("You carry the key. The box is shut.", "the box is in the way", "open box"),
    ("The box is open. There is a cup.", "the cup is what is wanted", "take cup"),
    ("You carry the cup.", "the desk is its place", "put cup on desk"),
)


def example_rows() -> list[dict[str, Any]]:
    """Steps as `icd offline dataset` writes them."""
    return [
        {
            "messages": [
                {"role": "system", "content": "Act."},
                {"role": "user", "content": f"Task: put the cup on the desk\n{seen}"},
                {"role": "assistant", "content": f"Think: {why}\nAction: {act}", "weight": 1},
            ],
            "cue": "Think:",
            "reasoning": why,
        }
        for seen, why, act in STEPS
    ]


def pair_rows() -> list[dict[str, Any]]:
    """Steps at which the student was corrected."""
    return [
        {
            "messages": row["messages"][:-1],
            "cue": "Think:",
            "chosen": row["messages"][-1],
            "rejected": {"role": "assistant", "content": "Think: I do not know\nAction: look"},
        }
        for row in example_rows()
    ]


def logprob_rows(folder: Path) -> list[dict[str, Any]]:
    """The same steps with the top log-probabilities of a teacher that has the student's tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = example_rows()
    for row in rows:
        turn = row["messages"][-1]
        ids = tokenizer(turn["content"], add_special_tokens=False)["input_ids"]
        tokens = [tokenizer.decode([number]) for number in ids]
        turn["logprobs"] = {
            "content": [
                {
                    "token": token,
                    "top_logprobs": [{"token": token, "logprob": -0.2}, {"token": "e", "logprob": -2.0}],
                }
                for token in tokens
            ]
        }
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
