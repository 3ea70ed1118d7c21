"""Distillation from a teacher with another tokenizer: TRL's GOLD with universal logit distillation (arXiv 2402.12030).

Needs conversations, and a teacher whose weights are here. The teacher reads the student's rendering of the prompt.
"""

from __future__ import annotations

from typing import Any

from trl.experimental.gold import GOLDConfig, GOLDTrainer

from icd.errors import ConfigurationError
from icd.offline.training.loading import load_teacher
from icd.offline.training.masks import Written, mask_written, written
from icd.offline.training.objectives.given import Given, dataset


def prepare(given: Given) -> Any:
    """Return the trainer. Raises `ConfigurationError` where there is no teacher, or one with the same tokenizer."""
    config, tokenizer = given.config, given.student.tokenizer
    teacher = load_teacher(config, given.say)
    if teacher.tokenizer.get_vocab() == tokenizer.get_vocab():
        raise ConfigurationError(
            "crosstokenizer is for a teacher with another tokenizer, and this one has the student's: take onpolicy"
        )
    texts = [one for row in given.conversations() for one in written(row, tokenizer, config.style)]
    fitting = [one for one in texts if len(mask_written(one, tokenizer).input_ids) < config.max_length]
    if not fitting:
        raise ConfigurationError(
            f"none of {len(texts)} examples has at most max_length = {config.max_length} tokens"
        )
    if len(fitting) < len(texts):
        given.say(f"{len(texts) - len(fitting)} of {len(texts)} examples left out: longer than max_length")
    return GOLDTrainer(
        given.student.model,
        teacher.model,
        GOLDConfig(
            **given.arguments,
            lmbda=0.0,
            use_uld_loss=True,
            teacher_tokenizer_name_or_path=str(teacher.folder),
            uld_crossentropy_weight=config.crosstokenizer.text_weight,
            dataloader_drop_last=len(fitting) >= config.batch_size * config.accumulate,
        ),
        train_dataset=dataset(
            {
                "prompt": [one.prompt for one in fitting],
                "completion": [_without_end(one, tokenizer) for one in fitting],
            }
        ),
        processing_class=tokenizer,
        peft_config=given.adapter,
    )


def _without_end(one: Written, tokenizer: Any) -> str:
    """Return the answer without the student's own mark of its end: the trainer adds each model's."""
    return one.answer.removesuffix(tokenizer.eos_token or "")
