"""How the steps of a runtime are decided: values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from icd.cascade import NO_GUARDS, Guards, Policy, parse_policy
from icd.decision import Recording
from icd.intent_agreement import AgreementKind
from icd.prompting import PromptSettings
from icd.strategy_use import StrategySettings


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How steps are decided."""

    policy: Policy = field(default_factory=lambda: parse_policy("unanimity(3)"))
    guards: Guards = NO_GUARDS
    k: int = 6
    """Excerpts at a step; 0: no demonstrations."""
    plan_k: int = 3
    """Demonstrations shown when the plan is drafted."""
    student_prompt: PromptSettings = field(default_factory=PromptSettings)
    teacher_prompt: PromptSettings = field(default_factory=PromptSettings)
    strategies: StrategySettings = field(default_factory=StrategySettings)
    temperature: float = 0.1
    max_tokens: int = 96
    """Limit of one sample, in tokens."""
    max_code_tokens: int = 512
    """Limit of one sample that is a block of code."""
    constrain: bool = True
    """Let the student choose among the admissible actions, where its backend can enforce it."""
    avoid_repeats: bool = True
    """Leave actions that were already tried in this very state out of the student's choice."""
    fall_back_to_student: bool = False
    """When the teacher fails, act on the student's best sample instead of failing."""
    agreement: AgreementKind = "exact"
    """When samples in words count as the same action; blocks of code are always compared exactly."""
    copy_above: float | None = None
    """Support from which the nearest demonstrated action, if it is possible and new here, is taken without asking the
    student. None: never."""
    record: Recording = "decisions"
    """`full`: draw all samples, and ask the teacher at every step, also where that changes nothing: for calibration."""

    drift: tuple[str, ...] = ()
    """The measures by which this kind of task got worse; for the receipt."""

    def answer_tokens(self, code: bool) -> int:
        """Return the limit of one sample at a step."""
        return self.max_code_tokens if code else self.max_tokens
