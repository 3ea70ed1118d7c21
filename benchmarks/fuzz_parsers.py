"""What reads bytes that come from outside, each with valid inputs to damage.

Another parser is another function in `parsers`, named as it is asked for, that yields what reads and samples of it.
"""

from __future__ import annotations

import asyncio
import json
import lzma
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from icd import Budget, PricedModel, PriceTable
from icd.backends.base import ChatRequest, Message, Tool
from icd.backends.openai_stream import StreamReader
from icd.backends.openai_wire import decode
from icd.cascade import parse_policy
from icd.chat.chat_log import ChatLog
from icd.chat.runtime import ChatRuntime, ChatSettings
from icd.config import ServeSettings, load_settings
from icd.config_file import commented_toml
from icd.decision import DecisionContext
from icd.errors import IcdError
from icd.exchange import FORMATS, exchange_format, read_file, take_in, write_file
from icd.exchange.formats import detected
from icd.offline.card import CARD, read_card
from icd.offline.examples import Example, Origin, Pair, rows_of
from icd.offline.training.config import load_config
from icd.offline.training.rows import read_rows
from icd.runtime import Runtime, RuntimeSettings
from icd.serving.app import create_app
from icd.serving.served_models import ServedModels
from icd.serving.service import Service
from icd.testing import ScriptedBackend
from icd_envs.check import read_transcripts
from icd_envs.game_library import GamePack
from icd_envs.household.engine import Engine
from icd_envs.household.game import Game, GameFile
from icd_envs.household.generator import household
from icd_memory.checks import check
from icd_memory.codec import trajectory_to_json
from icd_memory.database import Database
from icd_memory.embedding import HashingEmbedder
from icd_memory.retrieval import Memory
from icd_memory.schema import dump_json
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary
from icd_memory.strategy_exchange import take_in as take_strategies
from icd_memory.strategy_files import Format, StrategyEntry, read_entries, write_entries
from icd_memory.trajectory import Outcome, Provenance, Step, Trajectory

NOW = datetime(2026, 1, 2, tzinfo=UTC)
_PRICES = PriceTable()


class Parser(NamedTuple):
    """Something that reads bytes from outside."""

    name: str
    samples: Sequence[bytes]
    """That it understands."""
    parse: Callable[[bytes], object]


Maker = Callable[[Path], AbstractContextManager[Parser]]
"""Prepares a parser, with a folder to write into."""


def parsers() -> tuple[Maker, ...]:
    """Return what prepares each parser."""
    return (
        trajectories, foreign_trajectories, game_file, game_pack, transcripts, settings, training_settings, policy,
        chat_completions, responses, anthropic_messages, feedback,
        strategies_markdown, strategies_jsonl, chat_log, dataset_rows, training_rows, dataset_card,
        receipts, model_reply, model_stream,
    )  # fmt: skip


def _trajectory(number: int) -> Trajectory:
    steps = tuple(
        Step(f"You see a lamp {at} and mail from ada@example.org.", f"go to lamp {at}", "It may be there.")
        for at in range(3)
    )
    return Trajectory(
        f"t{number}", "household", f"task {number}", f"house {number}", "train", "Put a pen away.", "put", "",
        steps, Outcome(True, 1.0, "environment"), Provenance("log", "expert", NOW), notes={"by": "hand"},
    )  # fmt: skip


class _Stores:
    """An empty memory, and a new one from time to time: making one takes longer than what is done with it."""

    def __init__(self) -> None:
        self._used, self._open = 0, ExitStack()

    def memory(self) -> Memory:
        if self._used % 50 == 0:
            self.close()
            store = self._open.enter_context(Store.open(":memory:"))
            self._memory = self._open.enter_context(Memory.open(store, HashingEmbedder(), redact=True))
        self._used += 1
        return self._memory

    def close(self) -> None:
        self._open.close()


# Files


@contextmanager
def _file(
    folder: Path, name: str, samples: Sequence[bytes], read: Callable[[Path], object], file: str
) -> Iterator[Parser]:
    place = folder / name
    place.mkdir()

    def parse(data: bytes) -> None:
        (place / file).write_bytes(data)
        read(place / file)

    yield Parser(name, samples, parse)


@contextmanager
def trajectories(folder: Path) -> Iterator[Parser]:
    """Give `icd memory import`, with what a memory does with what it takes in."""
    lines = [dump_json(trajectory_to_json(_trajectory(number))).encode() for number in range(2)]

    with closing(_Stores()) as stores:

        def read(path: Path) -> None:
            take_in(read_file(path), stores.memory(), approved=True)

        samples = [lines[0], b"\n".join(lines)]
        with _file(folder, "trajectories", samples, read, "log.jsonl") as parser:
            yield parser


@contextmanager
def foreign_trajectories(folder: Path) -> Iterator[Parser]:
    """Give the same in the formats of other tools, as far as we write them; which one it is, is to be found out."""
    samples = []
    for name in FORMATS:
        kind = exchange_format(name)
        if kind.write is not None and name != "own":
            write_file(folder / name, [_trajectory(1)], kind=kind)
            samples.append((folder / name).read_bytes())
    with closing(_Stores()) as stores:

        def read(path: Path) -> None:
            take_in(read_file(path, detected(path)), stores.memory(), approved=True)

        with _file(folder, "foreign_trajectories", samples, read, "log.json") as parser:
            yield parser


@contextmanager
def game_file(folder: Path) -> Iterator[Parser]:
    """Give ``game.tw-pddl`` files, as JSON and by what stands in them, and play what can be played."""
    games = [household("train", number).game_file() for number in range(2)]
    samples = [json.dumps(asdict(game)).encode() for game in games]

    def parse(data: bytes) -> None:
        (folder / "game.tw-pddl").write_bytes(data)
        engine = Engine(Game.read(folder / "game.tw-pddl"))
        for command in engine.reset().admissible[:2]:
            engine.step(command)

    yield Parser("game_file", samples, _by_part(parse, games[0]))


def _by_part(parse: Callable[[bytes], object], game: GameFile) -> Callable[[bytes], object]:
    """Damage that breaks a file's JSON reaches none of the parsers of what is in it: they are given its text too."""

    def both(data: bytes) -> None:
        text = data.decode("utf-8", "replace").replace("\\n", "\n").replace('\\"', '"')
        problem = text.partition('"pddl_problem": "')[2].partition('", "walkthrough')[0]
        domain = text.partition('"pddl_domain": "')[2].partition('", "grammar')[0]
        parts = {"pddl_problem": problem, "pddl_domain": domain}
        for name, part in parts.items():
            if part and part != getattr(game, name):
                parse(json.dumps(asdict(replace(game, **{name: part}))).encode())
        parse(data)

    return both


@contextmanager
def game_pack(folder: Path) -> Iterator[Parser]:
    """Give the lines of packs of games."""
    game = household("train", 1).game_file()
    place = folder / "game_pack"
    place.mkdir()
    common = {"pddl_domain": game.pddl_domain, "grammar": game.grammar}
    (place / "common.json").write_text(json.dumps(common), "utf-8")
    row = {"id": "train/put-1/t1", "goal": "put", "pddl_problem": game.pddl_problem, "walkthrough": ["look"]}
    line = json.dumps(row).encode()

    def parse(data: bytes) -> None:
        (place / "train.jsonl.xz").write_bytes(lzma.compress(data, preset=0))
        pack = GamePack(place)
        for id in list(pack.ids("train"))[:2]:
            pack.game(id)
            Game.load(pack.file(id))

    yield Parser("game_pack", [line, line + b"\n" + line.replace(b"t1", b"t2")], parse)


@contextmanager
def transcripts(folder: Path) -> Iterator[Parser]:
    """Give recorded episodes of `icd env check`."""
    turn = {"feedback": "You see a lamp.", "admissible": ["look", "go to lamp 1"], "won": False}
    line = json.dumps({"game": "a/b/c", "reset": turn, "steps": [{"command": "look", **turn}]}).encode()

    def read(path: Path) -> None:
        list(read_transcripts(path))

    with _file(folder, "transcripts", [line, line + b"\n" + line], read, "t.jsonl") as parser:
        yield parser


@contextmanager
def settings(folder: Path) -> Iterator[Parser]:
    """Give ``icd.toml``."""
    every = "\n".join(line.removeprefix("#") for line in commented_toml().split("\n") if line[:2] != "# ")
    short = b'policy = "unanimity(3)"\n[student]\nkind = "openai"\nmodel = "m"\nprice = { input = 1, output = 2 }\n'
    samples = [commented_toml().encode(), short, every.encode()]
    with _file(folder, "settings", samples, load_settings, "icd.toml") as parser:
        yield parser


@contextmanager
def training_settings(folder: Path) -> Iterator[Parser]:
    """Give the TOML of `icd offline train`."""
    sample = b'model = "m"\ndata = "d"\noutput = "o"\nobjective = "sft"\nepochs = 2\n[dpo]\nbeta = 0.1\n'
    with _file(folder, "training_settings", [sample], lambda path: load_config(path, {}), "t.toml") as parser:
        yield parser


@contextmanager
def policy(folder: Path) -> Iterator[Parser]:
    """Give policies as people write them."""
    samples = [
        b"unanimity(3)",
        b"majority(5, 0.6)",
        b"sequential(5, .95)",
        b"calibrated(0.1, 0.1)",
        b"random(.3)",
    ]
    yield Parser("policy", samples, lambda data: parse_policy(data.decode("utf-8", "surrogateescape")))


@contextmanager
def strategies_markdown(folder: Path) -> Iterator[Parser]:
    """Give strategies as Markdown."""
    with _strategies(folder, "markdown") as parser:
        yield parser


@contextmanager
def strategies_jsonl(folder: Path) -> Iterator[Parser]:
    """Give strategies as JSON lines."""
    with _strategies(folder, "jsonl") as parser:
        yield parser


@contextmanager
def _strategies(folder: Path, format: Format) -> Iterator[Parser]:
    entries = [
        StrategyEntry(environment="chat", category="refund", scenario="A parcel is lost.", guidance="Look it up first."),
        StrategyEntry(environment="chat", scenario="# heading\nA question.", guidance="Answer it.", version=2),
    ]  # fmt: skip

    with closing(_Stores()) as stores:

        def parse(data: bytes) -> None:
            read = read_entries(data.decode("utf-8", "surrogateescape"), format)
            memory = stores.memory()
            library = StrategyLibrary(memory.store, memory.embedder)
            take_strategies(library, read[:3], by="fuzz", why="a test")

        yield Parser(f"strategies_{format}", [write_entries(entries, format).encode()], parse)


_TOOL = {
    "type": "function",
    "function": {
        "name": "get_order",
        "description": "Look an order up.",
        "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    },
}
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_order", "arguments": '{"id": 4711}'},
}
_TALK = [
    {"role": "system", "content": "You help customers."},
    {"role": "user", "content": "Where is order 4711? I am ada@example.org."},
    {"role": "assistant", "content": None, "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"state": "sent"}'},
]


@contextmanager
def chat_log(folder: Path) -> Iterator[Parser]:
    """Give logs of chat calls, as `icd audit` reads them."""
    answer = {"role": "assistant", "content": "It is on its way."}
    request = {"model": "gpt-4.1", "messages": _TALK, "tools": [_TOOL]}
    reply = {
        "choices": [{"index": 0, "message": answer}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
    }
    lines: tuple[dict[str, Any], ...] = (
        {"messages": [*_TALK, answer], "tools": [_TOOL]},
        {"request": request, "response": reply},
        {"custom_id": "a", "body": request, "response": {"body": reply}},
    )

    def read(path: Path) -> None:
        with ChatLog(path) as log:
            for step in log.steps():
                log.read(step.place)

    samples = [json.dumps(line).encode() for line in lines]
    with _file(folder, "chat_log", [*samples, b"\n".join(samples)], read, "log.jsonl") as parser:
        yield parser


_ORIGIN = Origin(trajectory="t1", episode="e1", step=0, source="log", producer="expert")
_ASKED: dict[str, Any] = {
    "id": "r1", "environment": "chat", "category": "refund", "task": "t", "groups": ("t",), "origins": (_ORIGIN,),
    "tools": (_TOOL,),
}  # fmt: skip
_ANSWER = {"role": "assistant", "content": "It is on its way.", "weight": 1}


def _examples() -> list[bytes]:
    example = Example(**_ASKED, kind="demonstration", won=True, messages=(*_TALK, _ANSWER), action="say")
    pair = Pair(**_ASKED, kind="escalated", prompt=tuple(_TALK), chosen=(_ANSWER,), rejected=(_ANSWER,))
    return [example.model_dump_json().encode(), pair.model_dump_json().encode()]


@contextmanager
def dataset_rows(folder: Path) -> Iterator[Parser]:
    """Give the rows of data sets."""

    def read(path: Path) -> None:
        list(rows_of(Pair, path) if b'"chosen"' in path.read_bytes() else rows_of(Example, path))

    with _file(folder, "dataset_rows", _examples(), read, "examples.train.jsonl") as parser:
        yield parser


@contextmanager
def training_rows(folder: Path) -> Iterator[Parser]:
    """Give rows to train on, also other people's."""
    with _file(folder, "training_rows", _examples(), read_rows, "rows.jsonl") as parser:
        yield parser


@contextmanager
def dataset_card(folder: Path) -> Iterator[Parser]:
    """Give the cards of data sets."""
    part = {"tasks": 1, "episodes": 1, "examples": 1, "pairs": 0, "failed": 0}
    mix = {
        "by": "none",
        "alpha": 1.0,
        "evidence": {},
        "shares": {},
        "before": {"put": 1},
        "after": {"put": 1},
    }
    card = {
        "id": "a", "created_at": "2026-01-02T00:00:00Z", "version": "0.1.0", "tenant": "default",
        "environments": ["household"], "parts": {"train": part, "validation": part}, "kinds": {"plan": 1},
        "sources": {"log": {"producers": ["expert"], "episodes": 1, "rows": 1}}, "episodes_left_out": {},
        "steps_left_out": {"empty": 2}, "duplicates": 0, "mix": mix, "prompt": {"k": 6}, "validation": 0.1,
        "restrictions": [], "files": {"examples": {"rows": 1, "bytes": 10, "sha256": "ab"}},
    }  # fmt: skip

    def read(path: Path) -> None:
        read_card(path.parent)

    with _file(folder, "dataset_card", [json.dumps(card).encode()], read, CARD) as parser:
        yield parser


# The store


@contextmanager
def receipts(folder: Path) -> Iterator[Parser]:
    """Give receipts that somebody changed in the database, to all that read them without a model."""
    model = PricedModel(
        ScriptedBackend(lambda request: ["Action: look"] * request.n), _PRICES.price("gpt-4.1"), Budget()
    )
    with closing(Database.open(folder / "receipts.db")) as database:
        store = Store(database)
        runtime = Runtime(
            student=model, teacher=model, store=store, settings=RuntimeSettings(k=0), new_id=lambda: "r1"
        )
        context = DecisionContext(
            "Put a pen away.", "put", "You see a lamp.", episode_id="e1", admissible=("look",)
        )
        asyncio.run(runtime.decide(context))
        found = store.decision("r1")
        assert found is not None

        def parse(data: bytes) -> None:
            text = data.decode("utf-8", "replace").replace("\0", "")
            with database.engine.begin() as connection:
                connection.execute(sa.text("UPDATE decisions SET body = :body"), {"body": text})
            assert store.chain.verify().problems or text == dump_json(found.body)
            check(store, database)
            store.trust.decisions_showing("default", ["t1"])
            store.decisions("e1")

        yield Parser("receipts", [dump_json(found.body).encode()], parse)


# The wire


class RefusedError(IcdError):
    """A body was refused, with the reply as the message."""


class UnexpectedStatusError(Exception):
    """A server error: a client's bytes are never the server's fault."""


@contextmanager
def _http(name: str, path: str, bodies: Sequence[Any]) -> Iterator[Parser]:
    """Post to the server with all that is behind it: redaction, memory, tools, receipts."""
    import httpx

    answer = ScriptedBackend(lambda request: ["It is on its way."] * request.n, model="gpt-4.1")
    model = PricedModel(answer, _PRICES.price("gpt-4.1"), Budget())
    with (
        asyncio.Runner() as runner,
        Store.open(":memory:") as store,
        Memory.open(store, HashingEmbedder(), redact=True) as memory,
    ):
        runtime = ChatRuntime(student=model, teacher=model, memory=memory, settings=ChatSettings())
        models = ServedModels("gpt-4.1-mini", "gpt-4.1", parse_policy("unanimity(3)"))
        service = Service(runtime, models, ServeSettings(), store=store, tenants=runtime.tenants)
        transport = httpx.ASGITransport(create_app(service))
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
        headers = {"Content-Type": "application/json", "X-ICD-Episode": "e1"}

        def parse(data: bytes) -> None:
            reply = runner.run(client.post(path, content=data, headers=headers))
            if reply.status_code >= 500:
                raise UnexpectedStatusError(f"{reply.status_code}: {reply.text[:300]}")
            if reply.status_code >= 400:
                raise RefusedError(reply.text)

        with_answer = {"model": "icd/cascade", "messages": _TALK, "tools": [_TOOL]}
        runner.run(client.post("/v1/chat/completions", json=with_answer, headers=headers))
        samples = [json.dumps(body).encode() for body in bodies]
        for sample in samples:
            parse(sample)
        try:
            yield Parser(name, samples, parse)
        finally:
            runner.run(client.aclose())
            runner.run(runtime.close())


@contextmanager
def chat_completions(folder: Path) -> Iterator[Parser]:
    """Give bodies of ``/v1/chat/completions``."""
    parts = [{"type": "text", "text": "Hello."}]
    bodies: list[Any] = [
        {"model": "icd/cascade", "messages": _TALK, "tools": [_TOOL], "tool_choice": "auto", "temperature": 0.5},
        {"model": "icd/cascade", "messages": [{"role": "user", "content": parts}], "stream": True, "n": 2, "stop": ["x"]},
        {
            "model": "icd/student", "messages": _TALK[:2], "metadata": {"a": "b"}, "logprobs": False, "seed": 3,
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        },
    ]  # fmt: skip
    with _http("chat_completions", "/v1/chat/completions", bodies) as parser:
        yield parser


@contextmanager
def responses(folder: Path) -> Iterator[Parser]:
    """Give bodies of ``/v1/responses``."""
    tool = {"type": "function", **_TOOL["function"]}
    called = {"type": "function_call", "call_id": "c1", "name": "get_order", "arguments": '{"id": 1}'}
    bodies: list[Any] = [
        {"model": "icd/cascade", "input": "Hello.", "instructions": "Help.", "store": False},
        {
            "model": "icd/cascade", "store": False, "tools": [tool], "stream": True,
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Where is it?"}]},
                called, {"type": "function_call_output", "call_id": "c1", "output": "sent"},
            ],
        },
    ]  # fmt: skip
    with _http("responses", "/v1/responses", bodies) as parser:
        yield parser


@contextmanager
def anthropic_messages(folder: Path) -> Iterator[Parser]:
    """Give bodies of ``/v1/messages``."""
    used = {"type": "tool_use", "id": "c1", "name": "get_order", "input": {"id": 1}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sent"}]}
    bodies: list[Any] = [
        {
            "model": "icd/cascade", "max_tokens": 50, "system": "Help.",
            "messages": [
                {"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": [used]},
                {"role": "user", "content": [result]},
            ],
            "tools": [{"name": "get_order", "input_schema": _TOOL["function"]["parameters"]}],
        },
        {"model": "icd/cascade", "max_tokens": 5, "stream": True, "messages": [{"role": "user", "content": "Hi."}]},
    ]  # fmt: skip
    with _http("anthropic_messages", "/v1/messages", bodies) as parser:
        yield parser


@contextmanager
def feedback(folder: Path) -> Iterator[Parser]:
    """Give bodies of ``/v1/feedback``."""
    bodies: list[Any] = [
        {"id": "f1", "episode": "e1", "success": True, "score": 0.5, "comment": "by ada@example.org"},
        {"episode": "e1", "comment": "no"},
    ]
    with _http("feedback", "/v1/feedback", bodies) as parser:
        yield parser


def _asked() -> ChatRequest:
    tool = Tool("get_order", "Look an order up.", _TOOL["function"]["parameters"])
    return ChatRequest((Message("user", "Where is it?"),), n=2, tools=(tool,))


@contextmanager
def model_reply(folder: Path) -> Iterator[Parser]:
    """Give replies of endpoints."""
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "Sent."}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None, "tool_calls": [_CALL]}},
    ]
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    sample = json.dumps({"id": "a", "choices": choices, "usage": usage}).encode()
    yield Parser("model_reply", [sample], lambda data: decode(data, _asked(), 2))


@contextmanager
def model_stream(folder: Path) -> Iterator[Parser]:
    """Give streamed replies of endpoints, in pieces that end anywhere."""
    pieces = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Se"}}]},
        {
            "choices": [
                {"index": 0, "delta": {"tool_calls": [{**_CALL, "index": 0}]}, "finish_reason": "tool_calls"}
            ]
        },
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}},
    ]
    sample = (
        b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"
    )

    def parse(data: bytes) -> None:
        reader, size = StreamReader(_asked(), 2), len(data) % 97 + 3
        for start in range(0, len(data), size):
            if reader.done:
                break
            reader.feed(data[start : start + size])
        if not reader.done:
            reader.feed(b"")
        reader.reply()

    yield Parser("model_stream", [sample], parse)
