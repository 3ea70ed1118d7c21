from __future__ import annotations

import random

import pytest
from service_desk_play import FAMILIES, SUITE, by_expert, conversation, new_world, task

from icd_envs.errors import EngineError, TaskNotFoundError
from icd_envs.service_desk.knowledge import Knowledge
from icd_envs.service_desk.naive import NaiveAgent
from icd_envs.service_desk.suite import NAME, family_of
from icd_envs.table import suite

SEEDS = range(25)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_expert_serves_every_family_well(family: str) -> None:
    world = new_world()
    scores = []
    for number in SEEDS:
        result = world.reset(task(family, number))
        steps = by_expert(world, result)
        offered = [result, *(after for _, after in steps)]
        for before, (action, _) in zip(offered, steps, strict=False):
            assert action in (before.actions.admissible or ())
        verdict = conversation(world).verdict()
        assert steps[-1][1].won
        assert verdict.violations == ()
        assert steps[-1][1].reward == verdict.satisfaction
        assert all(after.reward == 0.0 for _, after in steps[:-1])
        scores.append(verdict.satisfaction)
    assert sum(scores) / len(scores) >= 9.0


@pytest.mark.parametrize("family", FAMILIES)
def test_doing_nothing_never_wins(family: str) -> None:
    world = new_world(max_steps=6)
    for number in SEEDS:
        world.reset(task(family, number))
        assert not world.step("close").won
        world.reset(task(family, number))
        results = [world.step("look at the ceiling") for _ in range(4)]
        assert not results[-1].won


@pytest.mark.parametrize("family", FAMILIES)
def test_one_stray_change_fails(family: str) -> None:
    world = new_world()
    rng = random.Random(family)
    for number in range(8):
        result = world.reset(task(family, number))
        while (action := (expert := world.expert()) and expert.move().action) != "close":
            result = world.step(action or "")
        database = conversation(world).database
        table = rng.choice(
            ["customers", "orders", "shipments", "payments", "bookings", "subscriptions", "cards"]
        )
        row = rng.choice(sorted(database.rows(table)))
        database.write(table, row, note="stray")
        result = world.step("close")
        assert not result.won
        assert f"not_due: {table}" in conversation(world).verdict().violations


def test_the_naive_agent_is_far_below() -> None:
    world = new_world()
    scores = []
    for family in FAMILIES:
        for number in range(5):
            result = world.reset(task(family, number))
            assert world.knowledge is not None
            agent = NaiveAgent(world.knowledge)
            while not result.done:
                result = world.step(agent.move().action)
            assert not result.won
            assert conversation(world).verdict().violations
            scores.append(result.reward)
    assert sum(scores) / len(scores) < 3.0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_task_is_the_same_again(family: str) -> None:
    def play() -> list[object]:
        world = new_world()
        rng = random.Random(7)
        results = [world.reset(task(family, 3))]
        while not results[-1].done:
            results.append(world.step(rng.choice(results[-1].actions.admissible or ())))
        return [*results, conversation(world).verdict()]

    assert play() == play()


def test_what_one_sees_at_first_does_not_tell_the_need() -> None:
    world = new_world()
    seen: dict[str, set[tuple[object, ...]]] = {}
    for split in ("train", "dev", "test"):
        for one in SUITE.tasks(split, 150):
            result = world.reset(one)
            seen.setdefault(one.goal, set()).add((result, one.category))
            case = conversation(world).case
            assert case.opening in one.goal
            told = f"{result} {one.goal} {one.category}".lower()
            assert not any(reply.lower() in told for reply in case.replies.values())
            for thing in ("orders", "bookings", "subscriptions", "customers", "cards"):
                assert not any(number in result.observation for number in case.tables[thing])
    # The same opening looks the same, whatever the need behind it is.
    assert all(len(results) == 1 for results in seen.values())
    openings = {goal for goal in seen if "order" in goal}
    assert len(openings) < 40


@pytest.mark.parametrize("family", FAMILIES)
def test_facts_are_told_only_when_asked_for(family: str) -> None:
    world = new_world()
    result = world.reset(task(family, 1))
    case = conversation(world).case
    heard = result.observation
    for action, after in by_expert(world, result):
        for question, reply in case.replies.items():
            asked = {"happened": "happened", "reference": "number", "birth": "birth", "proof": "photo",
                     "wish": "like", "details": "details"}[question]  # fmt: skip
            if reply in after.observation and reply not in heard:
                assert asked in action
        heard += after.observation


def test_the_expert_can_take_over_at_any_step() -> None:
    world = new_world(max_steps=60)
    rng = random.Random(0)
    for family in FAMILIES:
        for before in range(6):
            result = world.reset(task(family, before))
            for _ in range(before):
                if not result.done:
                    result = world.step(rng.choice(result.actions.admissible or ()))
            steps = by_expert(world, result)
            assert len(steps) <= 14


def test_the_expert_wins_after_harmless_beginnings() -> None:
    harmless = ("say: ask what happened", "say: ask for the reference number", "read policy returns",
                "say: apologise")  # fmt: skip
    world = new_world()
    rng = random.Random(1)
    for family in FAMILIES:
        for number in range(5):
            result = world.reset(task(family, number))
            for action in rng.sample(harmless, 3):
                result = world.step(action)
            assert by_expert(world, result)[-1][1].won, (family, number)


def test_knowledge_follows_from_the_transcript() -> None:
    world = new_world()
    result = world.reset(task("damaged_item", 2))
    known = Knowledge()
    known.start(result.observation)
    for action, after in by_expert(world, result):
        known.update(action, after.observation)
        assert known.view() == after.view


def test_customers_leave_when_their_patience_is_used_up() -> None:
    world = new_world()
    result = world.reset(task("warranty", 0))
    while not result.done:
        result = world.step("say: ask for the date of birth")
    assert "has left" in result.observation
    assert result.observation.endswith(
        "Satisfaction: 1 of 10. The need was not handled as the policies demand."
    )
    assert (result.won, result.reward) == (False, 1.0)


def test_anger_grows_with_repetition_and_long_waits() -> None:
    world = new_world()
    calm = next(one for n in range(20) if SUITE.load(one := task("warranty", n)).mood == 0)
    world.reset(calm)
    world.step("say: ask what happened")
    assert (
        "Customer (uneasy): I have told you that already." in world.step("say: ask what happened").observation
    )
    world.reset(calm)
    topics = ["returns", "warranty", "damage", "delivery", "prices"]
    results = [world.step(f"read policy {topic}") for topic in topics]
    assert ["Are you still there?" in result.observation for result in results] == [False] * 4 + [True]
    assert "uneasy" in results[-1].view


def test_impossible_commands_change_nothing() -> None:
    world = new_world()
    world.reset(task("late_parcel", 0))
    before = conversation(world).database.snapshot()
    for action in (
        "refund order 999999 full",
        "sing",
        "lookup order",
        "read policy love",
        "verify customer 1 x",
    ):
        result = world.step(action)
        assert result.observation.startswith("Nothing happens")
        assert f"Not possible: {action}" in result.view
    assert conversation(world).database.snapshot() == before


def test_commands_that_are_written_freely() -> None:
    world = new_world()
    world.reset(task("late_parcel", 0))
    order = conversation(world).case.commands[0].split()[2]
    assert "refunded 2.00" in world.step(f"Refund  order {order} partial 2.00.").observation
    assert "I do not follow you." in world.step("say: what a lovely day").observation


def test_the_suite() -> None:
    desk = suite(NAME)
    assert desk.splits[0] == "train"
    assert {*desk.test_splits} == {*desk.splits} - {"train"}
    ids = [one.id for one in desk.tasks("test", 12)]
    assert ids == [one.id for one in desk.tasks("test", 30)][:12]
    assert not {*ids} & {one.id for one in desk.tasks("test", 12, seed=1)}
    assert len(desk.tasks("dev", 330)) == 330
    assert len({family_of(id) for id in ids[:5]}) == 5


def test_families_are_in_one_split_only() -> None:
    families = {
        split: {family_of(one.id) for one in SUITE.tasks(split, 20)}
        for split in ("train", "dev", "test", "test_seen")
    }
    assert not families["train"] & families["dev"]
    assert not (families["train"] | families["dev"]) & families["test"]
    assert families["test_seen"] == families["train"]
    assert len(families["train"] | families["dev"] | families["test"]) >= 12
    seen = {one.id.split("/", 2)[2]: SUITE.load(one) for one in SUITE.tasks("test_seen", 40)}
    train = {one.id.split("/", 2)[2]: SUITE.load(one) for one in SUITE.tasks("train", 40)}
    assert all(seen[key] != train[key] for key in seen)


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "household/train/late_parcel/000001",
        f"{NAME}/test/late_parcel/000001",
        f"{NAME}/train/late_parcel/x",
    ],
)
def test_unknown_tasks(task_id: str) -> None:
    with pytest.raises(TaskNotFoundError, match=NAME):
        SUITE.task(task_id)
    with pytest.raises(TaskNotFoundError, match="train"):
        SUITE.tasks("nowhere")


def test_out_of_order() -> None:
    world = new_world()
    assert world.expert() is None
    with pytest.raises(EngineError):
        world.step("close")
    world.reset(task("warranty", 0))
    world.step("close")
    with pytest.raises(EngineError):
        world.step("close")
    world.close()
    assert world.expert() is None
