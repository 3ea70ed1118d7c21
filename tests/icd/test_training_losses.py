"""Each loss against an independent, slow computation in float64 without PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from icd.offline.training import losses  # noqa: E402

BATCH, LENGTH, VOCABULARY = 3, 6, 11
SEEDS = range(5)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    highest = logits.max(-1, keepdims=True)
    return logits - highest - np.log(np.exp(logits - highest).sum(-1, keepdims=True))


def arrays(seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Logits and labels, of which some are not learnt."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, VOCABULARY, (BATCH, LENGTH))
    labels[rng.random((BATCH, LENGTH)) < 0.4] = -100
    labels[:, -1] = 1
    return rng, rng.normal(0, 3, (BATCH, LENGTH, VOCABULARY)), labels


def mean_log_prob(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logs, found = log_softmax(logits), []
    for row in range(len(labels)):
        places = [i for i in range(1, LENGTH) if labels[row, i] != -100]
        found.append(sum(logs[row, i - 1, labels[row, i]] for i in places) / len(places))
    return np.array(found)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [0.0, 0.8, 1.0])
def test_redi(seed: int, alpha: float) -> None:
    _, better, labels = arrays(seed)
    _, worse, other = arrays(seed + 100)
    expected = np.mean(-mean_log_prob(better, labels) + alpha * mean_log_prob(worse, other))
    up = losses.mean_log_prob(*losses.token_log_probs(tensor(better), tensor(labels)))
    down = losses.mean_log_prob(*losses.token_log_probs(tensor(worse), tensor(other)))
    assert float(losses.redi(up, down, alpha)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.9, 1.0])
def test_step_by_step_weighs_the_two_tasks(seed: int, alpha: float) -> None:
    def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
        logs = log_softmax(logits)
        terms = [
            logs[row, i - 1, labels[row, i]]
            for row in range(BATCH)
            for i in range(1, LENGTH)
            if labels[row, i] != -100
        ]
        return -sum(terms) / len(terms)

    def ours(logits: np.ndarray, labels: np.ndarray) -> torch.Tensor:
        logs, learnt = losses.token_log_probs(tensor(logits), tensor(labels))
        return -logs.sum() / learnt.sum()

    _, action, labels = arrays(seed)
    _, rationale, other = arrays(seed + 100)
    expected = alpha * negative_log_likelihood(action, labels)
    expected += (1 - alpha) * negative_log_likelihood(rationale, other)
    got = losses.step_by_step(ours(action, labels), ours(rationale, other), alpha)
    assert float(got) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_topk_kl(seed: int, temperature: float) -> None:
    rng, student, labels = arrays(seed)
    k, learnt = 4, labels != -100
    ids = np.stack([[rng.permutation(VOCABULARY)[:k] for _ in range(LENGTH)] for _ in range(BATCH)])
    log_probs = np.log(rng.dirichlet(np.ones(k + 2), (BATCH, LENGTH)))[..., :k]
    log_probs[0, -1, 2:] = -np.inf  # A place at which the teacher gave fewer.
    total, places, logs = 0.0, 0, log_softmax(student)
    for row, place in zip(*np.nonzero(learnt), strict=True):
        places += 1
        weights = np.exp(log_probs[row, place] / temperature)
        for j, p in enumerate(weights / weights.sum()):
            if p > 0:
                total += p * (math.log(p) - logs[row, place, ids[row, place, j]])
    got = losses.topk_kl(tensor(student), tensor(ids), tensor(log_probs), tensor(learnt), temperature)
    assert float(got) == pytest.approx(total / places, abs=1e-5)


def test_a_place_with_fewer_tokens_has_a_finite_gradient() -> None:
    logits = torch.zeros((1, 1, 5), requires_grad=True)
    log_probs = torch.tensor([[[-0.1, -math.inf]]])
    ids, learnt = torch.tensor([[[3, 0]]]), torch.tensor([[True]])
    losses.topk_kl(logits, ids, log_probs, learnt, 1.0).backward()
    assert torch.isfinite(logits.grad).all()
    assert float(logits.grad[0, 0, 3]) < 0 < float(logits.grad[0, 0, 0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_taid_target_and_loss(seed: int, t: float) -> None:
    rng, student, labels = arrays(seed)
    teacher, learnt = rng.normal(0, 3, student.shape), labels != -100
    target = np.exp(log_softmax((1 - t) * student + t * teacher))
    assert losses.taid_target(tensor(student), tensor(teacher), t).numpy() == pytest.approx(target, abs=1e-5)
    logs = log_softmax(student)
    terms = [
        sum(p * (math.log(p) - q) for p, q in zip(target[place], logs[place], strict=True))
        for place in zip(*np.nonzero(learnt), strict=True)
    ]
    got = losses.taid(tensor(student), tensor(teacher), tensor(learnt), t)
    assert float(got) == pytest.approx(sum(terms) / len(terms), abs=1e-5)


def test_no_gradient_flows_through_the_target() -> None:
    """The gradient is that towards a fixed target: softmax(student) - target."""
    student = torch.tensor([[[1.0, 0.0, -1.0]]], requires_grad=True)
    teacher = torch.tensor([[[0.0, 2.0, 0.0]]])
    losses.taid(student, teacher, torch.tensor([[True]]), 0.5).backward()
    expected = torch.softmax(student.detach(), -1) - losses.taid_target(student, teacher, 0.5)
    assert torch.allclose(student.grad, expected, atol=1e-6)


TAID = {"start": 0.4, "end": 1.0, "rate": 5e-2, "beta": 0.9}


def t_by_the_paper(seen: list[float]) -> list[float]:
    """TAID's algorithm 1, written once more."""
    t, momentum, previous, ts = TAID["start"], 0.0, None, []
    for number, loss in enumerate(seen):
        if previous is not None:
            momentum = TAID["beta"] * momentum + (1 - TAID["beta"]) * (previous - loss) / (previous + 1e-15)
            step = TAID["rate"] * (1 / (1 + math.exp(-momentum))) * (1 - t)
            line = TAID["start"] + (TAID["end"] - TAID["start"]) * number / len(seen)
            t = min(TAID["end"], max(line, t + step))
        previous = loss
        ts.append(t)
    return ts


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=30))
def test_taid_t_is_the_papers_and_never_falls(seen: list[float]) -> None:
    state, ts = losses.TaidState(TAID["start"]), []
    for number, loss in enumerate(seen):
        state = state.moved(loss, number / len(seen), **TAID)
        ts.append(state.t)
    assert ts == pytest.approx(t_by_the_paper(seen))
    assert ts == sorted(ts)
    assert all(TAID["start"] <= t <= TAID["end"] for t in ts)
