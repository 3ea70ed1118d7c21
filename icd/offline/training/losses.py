"""The losses as pure functions of tensors. Know no trainer and no model.

`log_probs` (batch, length - 1) are those of the tokens that follow, 0 where `learnt` is not true; logits and labels of
a sequence are shifted by the caller, so that place i of the logits predicts place i of the labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from icd.offline.training.masks import IGNORED

_SMALL = 1e-15
"""Keeps the relative change of a loss finite, as in TAID's own code."""


def token_log_probs(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each next label and where one is learnt, both (batch, length - 1).

    Args:
        logits: (batch, length, vocabulary).
        labels: (batch, length), -100 where nothing is learnt.
    """
    following = labels[:, 1:]
    learnt = following != IGNORED
    log_probs = functional.log_softmax(logits[:, :-1].float(), -1)
    picked = log_probs.gather(-1, following.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(learnt, picked, torch.zeros_like(picked)), learnt


def mean_log_prob(log_probs: Tensor, learnt: Tensor) -> Tensor:
    """Return each sequence's log-probability a token: log π(y) / |y|, (batch,)."""
    return log_probs.sum(-1) / learnt.sum(-1).clamp(min=1)


def step_by_step(action: Tensor, rationale: Tensor, alpha: float) -> Tensor:
    """Return α · L_action + (1 - α) · L_rationale (arXiv 2305.02301)."""
    return alpha * action + (1 - alpha) * rationale


def redi(winners: Tensor, losers: Tensor, alpha: float) -> Tensor:
    """Return -log π(y⁺)/|y⁺| + α · log π(y⁻)/|y⁻|, the mean of the pairs (arXiv 2505.24850).

    Args:
        winners: log-probability a token of the winning answers, (pairs,).
        losers: the same of the losing ones.
        alpha: weight of the losing ones.
    """
    return (alpha * losers - winners).mean()


def topk_kl(logits: Tensor, ids: Tensor, log_probs: Tensor, learnt: Tensor, temperature: float) -> Tensor:
    """Return the forward KL from the teacher's k likeliest tokens to the student, the mean of the learnt places.

    The teacher's k probabilities are recalibrated by `temperature` and made to sum to 1; the student's are those of its
    whole vocabulary, so that what it gives to other tokens costs (FIRST, arXiv 2408.12168).

    Args:
        logits: the student's, (batch, length, vocabulary).
        ids: the teacher's tokens, (batch, length, k).
        log_probs: the teacher's, (batch, length, k); -inf fills up a place with fewer.
        learnt: (batch, length); each such place has at least one token.
        temperature: above 1 is softer.
    """
    ids, log_probs, logits = ids[learnt], log_probs[learnt], logits[learnt]
    teacher = functional.log_softmax(log_probs.float() / temperature, -1)
    student = functional.log_softmax(logits.float(), -1).gather(-1, ids)
    there = torch.isfinite(teacher)
    terms = teacher.exp() * torch.where(there, teacher - student, torch.zeros_like(student))
    return torch.where(there, terms, torch.zeros_like(terms)).sum() / max(len(ids), 1)


def taid_target(student: Tensor, teacher: Tensor, t: float) -> Tensor:
    """Return softmax((1 - t) · student + t · teacher), through which no gradient flows (TAID, arXiv 2501.16937)."""
    return functional.softmax((1 - t) * student.detach().float() + t * teacher.float(), -1)


def taid(student: Tensor, teacher: Tensor, learnt: Tensor, t: float) -> Tensor:
    """Return the forward KL from TAID's target to the student, the mean of the learnt places.

    Args:
        student: logits (batch, length, vocabulary).
        teacher: the same of the teacher.
        learnt: (batch, length).
        t: the teacher's share of the target.
    """
    student, teacher = student[learnt], teacher[learnt]
    target = taid_target(student, teacher, t)
    kl = functional.kl_div(functional.log_softmax(student.float(), -1), target, reduction="sum")
    return kl / max(len(student), 1)


@dataclass(frozen=True, slots=True)
class TaidState:
    """The teacher's share of the target, and what it is moved by. A value: `moved` returns the next one."""

    t: float
    previous: float = math.inf
    """The loss of the step before."""
    momentum: float = 0.0
    """Of the loss's relative change."""

    def moved(
        self, loss: float, progress: float, *, start: float, end: float, rate: float, beta: float
    ) -> TaidState:
        """Return the state after a step: t rises at least along a line, and faster while the loss falls.

        Args:
            loss: of this step.
            progress: share of the steps that are done.
            start: t at the beginning.
            end: t at the end.
            rate: how fast t may run ahead of the line.
            beta: momentum of the loss's relative change.
        """
        if math.isinf(self.previous):
            return TaidState(self.t, loss, self.momentum)
        change = (self.previous - loss) / (self.previous + _SMALL)
        momentum = beta * self.momentum + (1 - beta) * change
        ahead = self.t + rate / (1 + math.exp(-momentum)) * (1 - self.t)
        t = min(end, max(start + (end - start) * progress, ahead))
        return TaidState(t, loss, momentum)
