"""A store in which every text is an attack on whoever looks at it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from recorded_run import ABOUT, conditions

from icd.offline.gate import Rules, offer
from icd.offline.promotion import Unit
from icd.offline.registry import make_student, register_student
from icd_memory.rows import DecisionRow, EpisodeRow, FeedbackRow, JsonObject, LedgerRow, RunRow
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy import PairedTest, StrategyDraft, StrategyOrigin, StrategyText, StrategyUse
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

ATTACKS = (
    "<script>window.hacked = 1</script>",
    "\"'><img src=x onerror='window.hacked = 2'>",
    "</textarea></title></style></pre><svg onload='window.hacked = 3'>",
    "javascript:window.hacked=4//",
    "{{ 1234 * 5678 }}{% raw %}${1234*5678}&lt;b&gt;&#60;i&#62;",
    "[link](javascript:alert(5)) <a href='javascript:alert(5)'>x</a> **bold** `code`",
    "\u202egnihton\u2066 si siht",
    "w" * 2_000,
    "NUL \x00 bell \x07 half \ud800 end",
    "<!-- <base href='http://127.0.0.1:9/'> <meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
)
ALL = "\n".join(ATTACKS)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def attack(number: int) -> str:
    """Return a text of one line that is an attack, another one for each number."""
    return f"{number} {ATTACKS[0]} {ATTACKS[1 + number % (len(ATTACKS) - 1)]}"


def named(number: int) -> str:
    """Return an attack that can be a name in a store: it has neither NULs nor halves of characters."""
    return attack(number).replace("\x00", "").replace("\ud800", "")


def grow_hostile(place: Path) -> None:
    """Make the store."""
    with Store.open(place) as store:
        for number, status in enumerate(("demonstration", "quarantine", "disabled", "rejected")):
            made = _trajectory(number)
            store.add_trajectory(made, status="quarantine")
            store.set_status(made.id, status, named(number + 4))  # type: ignore[arg-type]
        for number in range(2):
            _episodes(store, number)
        _strategies(store)
        _students(store, place.parent)


def _trajectory(number: int) -> Trajectory:
    step = Step(ALL, attack(1), ALL, ALL, "teacher", 1.0)
    return Trajectory(
        id=f"t {named(number)}",
        environment="household" if number else named(2),
        task_id=attack(3),
        instance=attack(4),
        split=named(5),
        goal=attack(number),
        category=attack(7),
        plan=ALL,
        steps=(step, replace(step, actor="student")),
        outcome=Outcome(True, 1.0, "environment"),
        provenance=Provenance(f"source {named(8)}", attack(9), NOW, restriction=attack(10)),
        notes={attack(11): ALL},
    )


def _episodes(store: Store, number: int) -> None:
    """Store a run with an episode for each of two methods, and one of live traffic."""
    run = f"run {named(number)}"
    told = {"environment": attack(1), "options": {attack(2): attack(3)}, "embedder": attack(4)}
    about = {name: attack(5) if isinstance(value, str) else value for name, value in ABOUT.items()}
    store.add_run(RunRow(run, {"conditions": conditions(**told), "about": about}, NOW))
    for method in (f"m {named(6)}", f"n {named(7)}"):
        episode = f"{run}/{method}/{number}"
        outcome = {
            "won": bool(number), "score": 0.5, "steps": 2, "steps_by": {"student": 1, attack(1): 1},
            "goal": ALL, "category": attack(8), "instance": attack(9), "code": False,
        }  # fmt: skip
        store.add_episode(EpisodeRow(episode, run, named(1), method, 0, "done", NOW, outcome))
        _decisions(store, run, episode)
    _decisions(store, "live", f"live {named(number)}")


def _decisions(store: Store, run: str, episode: str) -> None:
    for step in range(2):
        id = f"r {episode} {step}"
        store.add_decision(DecisionRow(id, episode, step, _receipt(id), NOW))
        store.add_ledger(
            [LedgerRow(f"{id}:0", run, "teacher", named(2), 9, 0, 9, 0.01, episode, id, price={attack(3): 1})]
        )
    said = FeedbackRow(f"said {episode}", "default", episode, None, True, 0.5, ALL, named(4), NOW)
    store.add_feedback(said)


def _receipt(id: str) -> JsonObject:
    samples = [
        {"action": attack(n), "reasoning": ALL, "key": attack(n), "problem": attack(n)} for n in (1, 2)
    ]
    return {
        "receipt_id": id, "action": ALL, "reasoning": ALL, "acted_by": "student", "reason": attack(3),
        "samples": samples, "agreement": 0.5, "support": 0.5, "policy": attack(4), "plan": ALL, "observation": ALL,
        "view": ALL, "cut": [attack(5)], "goal": ALL, "category": attack(6), "mode": "cascade",
        "shadow": {"action": ALL, "key": "x"}, "seconds": 0.1,
        "excerpts": [{"trajectory_id": f"t {named(0)}", "step": 0, "similarity": 0.5}],
        "strategies": [{"id": f"s {named(0)}", "version": 1, "similarity": 0.5, "shown": True}],
        "charges": [{"role": attack(7), "model": attack(8), "cost": 0.1, "usage": {"input_tokens": 1}}],
    }  # fmt: skip


def _strategies(store: Store) -> None:
    library = StrategyLibrary(store, now=lambda: NOW)
    for number in range(2):
        origin = StrategyOrigin(attack(1), attack(2), (attack(3),), (attack(4),), NOW)
        draft = StrategyDraft(
            attack(number), ALL, named(5), attack(6), origin=origin, id=f"s {named(number)}"
        )
        made = library.propose(draft, by=attack(7), why=ALL)
        library.edit(made.id, StrategyText(ALL, attack(8), attack(9)), by=attack(1), why=ALL, based_on=1)
        test = PairedTest(named(2), 1, 0.1, 0.0, 0.2, 9, measure=attack(3), model=attack(4), run=attack(5))
        library.add_test(made.id, test)
        library.note_use(StrategyUse(made.id, 1, named(6), True, NOW, True))


def _students(store: Store, folder: Path) -> None:
    for number in range(2):
        files = folder / f"student {number}"
        files.mkdir()
        (files / "<img src=x onerror=alert(6)>").write_text(str(number), encoding="utf-8")
        student = make_student(
            files, base_model=attack(1), licence=attack(2), weights="gguf", backend={"model": attack(3)}, now=NOW,
            config={"a": attack(4)}, metrics={attack(5): attack(6)},
        )  # fmt: skip
        register_student(store, student)
        played = [Unit(1.0, 1.0, 0.7, 1.0 + i / 1000) for i in range(300)]
        offer(store, student, played, Rules(share=0.1 * number), lambda: NOW)
