"""Episodes decided by a DSPy program with the same student, demonstrations, tasks, seeds and step cap.

    python benchmarks/dspy_baseline.py [ENV] [--method knn|bootstrap]... [--episodes N] [--store FILE]
        [--results FILE] [--config FILE] [--games PACK]... [--quick] [--json]

- `dspy-knn`: DSPy's `KNNFewShot`; at each step the k teacher's steps nearest to goal and state, as they are (nothing is
bootstrapped: that would cost k calls at every step). `dspy-bootstrap`: `BootstrapFewShot`; k steps chosen once, up to
half of them with the student's own reasoning where it took the teacher's action (of at most `--attempts` tries).
- The program is `dspy.Predict` with DSPy's own chat adapter: (goal, state) -> (reasoning, action), where state is the
view that every method reads. It is held to the admissible actions by a grammar, as our student is, and like it is not
told of them in words. There is no plan and no history. Temperature, seeds, length of thought and price are the
student's of the settings.
- The model is the student's GGUF file, served on loopback by llama.cpp in this process; DSPy runs in an environment of
its own, and the world is stepped here.
- The demonstrations are those of the store (`icd collect`); without `--store`, the expert plays `--demonstrations`
tasks of the first split, as `icd collect` does.

Each finished episode is a line of the results file (as `icd.benchmark.played.Result`, with actions, wall seconds, and
CPU seconds of model and world); the same command plays what is missing. An episode that the machine failed at is not
written.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from common import emit
from dspy_process import Program, ProgramFailedError, serve_student
from peer_environment import CACHE, environment_python
from step_texts import play

from icd.assembly import make_embedder
from icd.backends.base import Usage
from icd.benchmark.conditions import digest
from icd.benchmark.played import Result, Tokens
from icd.benchmark.statistics import success_share
from icd.config import Settings, load_settings
from icd.episode import step_seed
from icd.ledger import cost
from icd.prices import Price, PriceTable
from icd_envs.base import Environment, StepResult, Suite, Task
from icd_envs.table import suite as find_suite
from icd_memory.embedding import CachedEmbedder
from icd_memory.store import Store
from icd_memory.trajectory import Trajectory

REQUIREMENTS = (
    "dspy==3.4.1",
    # Not the newest: 1.107.0 is reported as compromised and withdrawn.
    "litellm==1.102.4",
    "numpy==2.4.6",
)
METHODS = ("knn", "bootstrap")
_MIN_P = 0.05
_CHOICE_TOKENS = 24
"""As in `icd.backends.local`: kept free for the choice."""
_STOP_AFTER = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played, with what."""

    suite: Suite
    settings: Settings
    split: str
    max_steps: int
    tasks: Sequence[Task]
    seeds: Sequence[int]
    demonstrations: Sequence[Trajectory]
    attempts: int

    def conditions(self, method: str) -> str:
        """Return a short hash of what an outcome depends on, besides task and seed."""
        student = self.settings.student
        shown = [(t.id, t.content_hash()) for t in self.demonstrations]
        facts = {
            "method": method,
            "max_steps": self.max_steps,
            "student": student.model_dump(mode="json", exclude={"threads", "deadline", "retries"}),
            "k": self.settings.retrieval.k,
            "embedder": self.settings.memory.embedder,
            "requirements": REQUIREMENTS,
            "demonstrations": sorted(shown),
            "attempts": self.attempts if method == "bootstrap" else 0,
        }
        return digest(json.loads(json.dumps(facts, default=str)))


def examples(demonstrations: Sequence[Trajectory]) -> list[dict[str, str]]:
    """Return the teacher's steps as DSPy is given them."""
    return [
        {"goal": t.goal, "state": step.view or step.observation, "reasoning": step.reasoning, "action": step.action}
        for t in demonstrations
        for step in t.steps
    ]  # fmt: skip


def played_by(
    program: Program, plan: Plan, world: Environment, task: Task, seed: int, method: str
) -> dict[str, Any]:
    """Play an episode and return its line of the results file.

    Raises:
        ProgramFailedError: the model could not be asked.
    """
    started, started_cpu = time.perf_counter(), time.process_time()
    price = PriceTable.from_settings(plan.settings.prices).of_backend(plan.settings.student)
    result: StepResult = world.reset(task)
    calls: list[Usage] = []
    actions: list[str] = []
    while not result.done:
        asked = {
            "goal": task.goal,
            "state": result.view or result.observation,
            "admissible": result.actions.admissible,
            "seed": step_seed(task.id, seed, len(actions)),
        }
        answer = program.decide(asked)
        calls += [Usage(**one) for one in answer["usage"]]
        actions.append(answer["action"])
        result = world.step(answer["action"])
    played = Result(
        method=f"dspy-{method}",
        task_id=task.id,
        seed=seed,
        category=task.category,
        won=result.won,
        steps=len(actions),
        teacher_steps=0,
        cost=sum(cost(one, price) for one in calls),
        tokens=_tokens(calls),
        estimated=False,
        uncached_cost=sum(cost(replace(one, cached_tokens=0), price) for one in calls),
    )
    spent = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - started_cpu}
    return {**asdict(played), "actions": actions, **{name: round(value, 2) for name, value in spent.items()}}


def _tokens(calls: Sequence[Usage]) -> Tokens:
    cached = sum(one.cached_tokens for one in calls)
    return Tokens(
        sum(one.input_tokens for one in calls) - cached, cached, sum(one.output_tokens for one in calls)
    )


def run(
    method: str, plan: Plan, results: Path, base_url: str, embedder: CachedEmbedder
) -> list[dict[str, Any]]:
    """Play what is missing of a method, and return all its lines."""
    conditions = plan.conditions(method)
    done = [line for line in _lines(results) if line["conditions"] == conditions]
    known = {(line["task_id"], line["seed"]) for line in done}
    todo = [(task, seed) for seed in plan.seeds for task in plan.tasks if (task.id, seed) not in known]
    say(f"dspy-{method}: {len(done)} episodes played before, {len(todo)} to play")
    wanted = {(task.id, seed) for seed in plan.seeds for task in plan.tasks}
    done = [line for line in done if (line["task_id"], line["seed"]) in wanted]
    if not todo:
        return done
    python = environment_python(CACHE / "dspy", REQUIREMENTS)
    program = Program(python, _write_settings(method, plan, conditions, base_url), embedder)
    world = plan.suite.environment(plan.max_steps)
    failures = 0
    try:
        for task, seed in todo:
            try:
                line = {**played_by(program, plan, world, task, seed, method), "conditions": conditions}
            except ProgramFailedError as error:
                failures += 1
                say(f"  {task.id}: not played, {error}")
                if failures == _STOP_AFTER:
                    raise
                continue
            failures = 0
            done.append(line)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            say(
                f"  {task.id}: {'won' if line['won'] else 'lost'} in {line['steps']} steps, {line['seconds']:.0f} s"
            )
    finally:
        program.close()
        world.close()
    return done


def _lines(results: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines: a killed process may have left half of one."""
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        results.write_text(text, encoding="utf-8")
    for line in text.splitlines():
        yield json.loads(line)


def _write_settings(method: str, plan: Plan, conditions: str, base_url: str) -> Path:
    folder = CACHE / "dspy-runs" / conditions
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "examples.json").write_text(json.dumps(examples(plan.demonstrations)))
    student = plan.settings.student
    settings = {
        "method": method,
        "model": student.effective_model,
        "base_url": base_url,
        "k": plan.settings.retrieval.k,
        "temperature": student.temperature,
        "max_tokens": student.max_tokens,
        "thought_characters": 2 * max(student.max_tokens - _CHOICE_TOKENS, _CHOICE_TOKENS),
        "sampling": {"top_k": 0, "top_p": 1.0, "min_p": _MIN_P},
        "examples": str(folder / "examples.json"),
        "compiled": str(folder / "compiled.json"),
        "attempts": plan.attempts,
        "seed": plan.settings.run.seed,
    }
    file = folder / "settings.json"
    file.write_text(json.dumps(settings))
    return file


def demonstrations(arguments: argparse.Namespace, suite: Suite, settings: Settings) -> list[Trajectory]:
    """Return what the program is trained on."""
    if arguments.store is None:
        world = suite.environment(suite.max_steps)
        tasks = suite.tasks(suite.splits[0], arguments.demonstrations, settings.run.seed)
        episodes = [play(world, task) for task in tasks]
        world.close()
        return [trajectory for trajectory in episodes if trajectory.outcome.success]
    with Store.open(str(arguments.store)) as store:
        rows = store.listing(environment=suite.name, status="demonstration")
        known = store.trajectories_by_id([row.id for row in rows])
    return [known[row.id] for row in rows if known[row.id].split not in suite.test_splits]


def figures(
    method: str, lines: Sequence[dict[str, Any]], bootstrap: Path, price: Price
) -> dict[str, float | str]:
    """Return what a method came to."""
    count, steps = max(len(lines), 1), max(sum(line["steps"] for line in lines), 1)
    share = success_share([[float(line["won"])] for line in lines]) if lines else None
    found: dict[str, float | str] = {
        "episodes": float(len(lines)),
        "success": share.value if share else 0.0,
        "success_interval": f"[{share.low:.3f}, {share.high:.3f}]" if share else "",
        "steps": steps / count,
        "cost": sum(line["cost"] for line in lines) / count,
        "seconds_per_step": sum(line["seconds"] for line in lines) / steps,
        "cpu_seconds_per_step": sum(line["cpu_seconds"] for line in lines) / steps,
        "input_tokens_per_step": sum(one["tokens"]["fresh"] + one["tokens"]["cached"] for one in lines)
        / steps,
        "cached_tokens_per_step": sum(line["tokens"]["cached"] for line in lines) / steps,
        "output_tokens_per_step": sum(line["tokens"]["output"] for line in lines) / steps,
    }
    if bootstrap.exists():
        calls = [Usage(**one) for one in json.loads(bootstrap.read_text())]
        found |= {"bootstrap_calls": float(len(calls)), "bootstrap_cost": sum(cost(c, price) for c in calls)}
    return found


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("environment", nargs="?", default="household", help="household or alfworld")
    parser.add_argument("--method", action="append", choices=METHODS, help="both, if none is given")
    parser.add_argument("--episodes", type=int, default=20, help="tasks to play")
    parser.add_argument("--repeats", type=int, default=1, help="episodes of each task, with other seeds")
    parser.add_argument("--split", default="", help="the environment's last one, if not given")
    parser.add_argument("--store", type=Path, help="a store with demonstrations")
    parser.add_argument(
        "--demonstrations", type=int, default=60, help="tasks that the expert plays without a store"
    )
    parser.add_argument("--attempts", type=int, default=40, help="steps that bootstrapping tries at most")
    parser.add_argument("--results", type=Path, default=CACHE / "dspy-runs" / "results.jsonl")
    parser.add_argument("--config", type=Path, help="icd.toml")
    parser.add_argument("--student", help="the student's model, if not that of the configuration")
    parser.add_argument("--threads", type=int, help="of the student")
    parser.add_argument("--embedder", help="hashing or minilm, if not that of the configuration")
    parser.add_argument("--games", action="append", help="of alfworld")
    parser.add_argument("--quick", action="store_true", help="two episodes of ten steps, hashing embedder")
    parser.add_argument("--json", action="store_true", help="the last line is JSON")
    return parser.parse_args()


def make_plan(arguments: argparse.Namespace) -> Plan:
    """Return what the arguments ask for."""
    student = {"model": arguments.student, "threads": arguments.threads}
    embedder = arguments.embedder or ("hashing" if arguments.quick else None)
    settings = load_settings(
        arguments.config,
        {
            "student": {name: value for name, value in student.items() if value is not None},
            "memory": {"embedder": embedder} if embedder else {},
        },
    )
    options = {"games": arguments.games} if arguments.games else {}
    suite = find_suite(arguments.environment, **options)
    split = arguments.split or suite.splits[-1]
    return Plan(
        suite=suite,
        settings=settings,
        split=split,
        max_steps=10 if arguments.quick else settings.run.max_steps or suite.max_steps,
        tasks=suite.tasks(split, 2 if arguments.quick else arguments.episodes, settings.run.seed),
        seeds=range(settings.run.seed, settings.run.seed + arguments.repeats),
        demonstrations=demonstrations(arguments, suite, settings),
        attempts=6 if arguments.quick else arguments.attempts,
    )


def main() -> None:
    arguments = parse()
    plan = make_plan(arguments)
    say(f"{len(plan.demonstrations)} demonstrations, {len(plan.tasks)} tasks of {plan.split}")
    price = PriceTable.from_settings(plan.settings.prices).of_backend(plan.settings.student)
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    server = serve_student(plan.settings)
    rows = {}
    with Store.open(":memory:") as store:
        embedder = CachedEmbedder(make_embedder(plan.settings.memory), store)
        for method in arguments.method or METHODS:
            lines = run(method, plan, arguments.results, f"{server.listening_address}/v1", embedder)
            used = CACHE / "dspy-runs" / plan.conditions(method) / "compiled.json.usage"
            rows[f"dspy-{method}"] = figures(method, lines, used, price)
    emit("dspy_baseline", {}, rows, arguments.json)


if __name__ == "__main__":
    main()
