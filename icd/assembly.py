"""From settings to live parts: store, embedder, index, memory, and models with their price and budget.

Everything that is missing is found here, at the start: weights, an extra, a key, a price.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from icd.backends import make_backend
from icd.calls import PricedModel
from icd.cascade import Guards, parse_policy
from icd.config import BackendSettings, MemorySettings, Settings
from icd.errors import ConfigurationError, MissingExtraError, ModelFilesError
from icd.ledger import Budget
from icd.prices import Price, PriceTable
from icd.prompting import PromptSettings
from icd.runtime import RuntimeSettings
from icd.strategy_use import StrategySettings, known_tools
from icd_memory.exact_index import ExactIndex
from icd_memory.redaction import Redactor
from icd_memory.retrieval import Family, Memory, RetrievalSettings
from icd_memory.store import Store
from icd_memory.strategies import StrategyLibrary

if TYPE_CHECKING:
    from icd.backends.base import Backend
    from icd.chat.runtime import ChatRuntime, ChatSettings
    from icd.drift_watch import DriftWatch
    from icd.offline.seats import StudentSeats
    from icd.runtime import Runtime
    from icd_memory.embedding import Embedder
    from icd_memory.index import VectorIndex
    from icd_memory.retrieval import IndexFactory

ESTIMATED_TOKENIZER = "none (a quarter of the UTF-8 bytes)"
_TOKENIZED_BY: Mapping[str, str] = {"local": "xllamacpp", "transformers": "transformers"}
"""The package that reads the tokenizer of a model on this machine, by the model's kind."""


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a run."""

    student: PricedModel | None
    teacher: PricedModel | None
    verifier: PricedModel | None = None

    async def close(self) -> None:
        """Free connections and memory."""
        for model in (self.student, self.teacher, self.verifier):
            if model is not None:
                await model.backend.close()


def make_embedder(settings: MemorySettings) -> Embedder:
    """Make the embedder of the settings.

    Raises:
        ConfigurationError: there is none of this name.
        EmbedderError: its weights or its extra are missing.
    """
    kind, _, name = settings.embedder.partition(":")
    if kind == "minilm":
        from icd.models import minilm_folder
        from icd_memory.minilm import MiniLMEmbedder

        return MiniLMEmbedder(minilm_folder())
    if kind == "hashing":
        from icd_memory.embedding import HashingEmbedder

        return HashingEmbedder()
    if kind == "sentence-transformers" and name:
        from icd_memory.embedding import SentenceTransformerEmbedder

        return SentenceTransformerEmbedder(name)
    raise ConfigurationError(
        f"memory.embedder {settings.embedder!r} is none: write minilm, hashing or sentence-transformers:NAME"
    )


def make_index(settings: MemorySettings) -> IndexFactory:
    """Return what makes the vector index of a family.

    Raises:
        ConfigurationError: there is none of this name.
        VectorIndexError: its extra is not installed, or its server does not answer.
    """
    kind, _, place = settings.index.partition(":")
    if kind == "exact" and not place:
        folder = index_folder(settings.store)

        def exact(family: Family, embedder: Embedder) -> VectorIndex:
            file = index_file(folder, family, embedder.id) if folder else None
            return ExactIndex(embedder.id, embedder.dimension, file)

        return exact
    if kind == "chroma":
        from icd_memory import chroma_index

        if not place:
            return chroma_index.chroma_factory(
                chroma_index.embedded(index_folder(settings.store) or Path(".icd"))
            )
        url = urlsplit(place)
        return chroma_index.chroma_factory(
            chroma_index.server(url.hostname or "localhost", url.port or 8000, ssl=url.scheme == "https")
        )
    raise ConfigurationError(
        f"memory.index {settings.index!r} is none: write exact, chroma or chroma:http://HOST:PORT"
    )


def index_folder(store: str) -> Path | None:
    """Return the folder beside a store's file where its indexes are kept; None for a database server."""
    if "://" in store or store in (":memory:", "the store in memory"):
        return None
    path = Path(store).expanduser()
    return path.with_name(f"{path.name}-index")


def index_file(folder: Path, family: Family, embedder_id: str) -> Path:
    """Return the file of a family's exact index in the folder beside its store."""
    name = sha256(f"{family.tenant} {family.environment} {embedder_id}".encode()).hexdigest()[:16]
    return folder / f"{name}.index"


def open_memory(
    settings: Settings,
    store: Store,
    *,
    test_splits: Collection[str] = (),
    embedder: Embedder | None = None,
    reembed: bool = False,
    keep_queries: bool = True,
) -> Memory:
    """Open the memory over `store`; `keep_queries` as in `icd_memory.retrieval.RetrievalSettings`.

    Raises:
        ConfigurationError: a wrong setting.
        EmbedderError: the embedder cannot be used, or the store was made with another one.
    """
    retrieval = settings.retrieval
    return Memory.open(
        store,
        embedder or make_embedder(settings.memory),
        settings=RetrievalSettings(
            window=retrieval.window,
            min_similarity=retrieval.min_similarity or None,
            keep_queries=keep_queries,
        ),
        make_index=make_index(settings.memory),
        test_splits=test_splits,
        reembed=reembed,
        redact=settings.memory.redact == "on",
    )


def make_models(settings: Settings, *, student: bool, teacher: bool) -> Models:
    """Make the models that are needed, on one budget.

    Args:
        settings: which models, at which price.
        student: whether the student is needed.
        teacher: whether the teacher is.

    Raises:
        ConfigurationError: no key, no price, or an optional part is not installed.
        ModelFilesError: weights are missing.
    """
    budget = Budget(settings.run.budget)
    prices = PriceTable.from_settings(settings.prices)
    mine = make_backend(settings.student) if student else _tokenizer(settings) if teacher else None
    counter = mine.count_tokens if mine is not None and settings.student.kind in _TOKENIZED_BY else None
    made_student = made_teacher = made_verifier = None
    if student and mine is not None:
        made_student = PricedModel(mine, prices.of_backend(settings.student), budget)
    if teacher:
        backend = make_backend(settings.teacher, count_tokens=counter)
        made_teacher = PricedModel(backend, prices.of_backend(settings.teacher), budget)
    if student and settings.verifier is not None:
        backend = make_backend(settings.verifier)
        made_verifier = PricedModel(backend, prices.of_backend(settings.verifier), budget)
    return Models(made_student, made_teacher, made_verifier)


def open_runtime(settings: Settings) -> Runtime:
    """Open the runtime of an agent of one's own, with its store, memory and models; it closes them.

    Raises:
        ConfigurationError: a wrong setting, a missing key, price or extra.
        ModelFilesError: weights are missing.
        IcdMemoryError: the store or the embedder cannot be used.
    """
    from icd.runtime import Runtime

    policy = parse_policy(settings.policy)
    needs_teacher = policy.asks_teacher or settings.run.record == "full"
    if needs_teacher:
        _refuse_expert(settings)
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(settings.memory.store))
        memory = opened.enter_context(open_memory(settings, store))
        models = make_models(settings, student=policy.asks_student, teacher=needs_teacher)
        runtime = Runtime(
            student=models.student, teacher=models.teacher, verifier=models.verifier,
            retriever=memory.retriever, store=store, library=strategy_library(memory),
            settings=runtime_settings(settings), watch=drift_watch(settings, memory),
            redactor=Redactor() if memory.redact else None,
        )  # fmt: skip
        return runtime.owning(opened.pop_all())


def _refuse_expert(settings: Settings) -> None:
    if settings.teacher.kind == "expert":
        raise ConfigurationError(
            "the teacher of an agent of your own must be a model: set [teacher] kind, model and base_url in icd.toml, "
            "or pass --teacher URL --teacher-model NAME"
        )


@asynccontextmanager
async def open_chat(settings: Settings, store: Store) -> AsyncIterator[ChatRuntime]:
    """Open the runtime behind somebody's agent; at the end what is under way is finished, and everything but the store
    closed.

    Raises:
        ConfigurationError: a wrong setting, a missing key, price or extra.
        ModelFilesError: weights are missing.
        EmbedderError: the embedder cannot be used, or the store was made with another one.
    """
    from icd.chat.runtime import ChatRuntime

    chat = chat_settings(settings)
    _refuse_expert(settings)
    models = make_models(settings, student=True, teacher=True)
    seats = _student_seats(settings, store, models)
    with open_memory(settings, store, keep_queries=False) as memory:
        runtime = ChatRuntime(
            student=models.student, teacher=models.teacher, memory=memory, settings=chat, student_of=seats.of,
            watch=drift_watch(settings, memory),
        )  # fmt: skip
        try:
            yield runtime
        finally:
            await runtime.close()
            await seats.close()
            await models.close()


def _student_seats(settings: Settings, store: Store, models: Models) -> StudentSeats:
    from icd.offline.active import student_settings
    from icd.offline.seats import StudentSeats

    configured = models.student
    assert configured is not None
    prices = PriceTable.from_settings(settings.prices)

    def make(id: str) -> PricedModel:
        seat = student_settings(store, settings.student, id)
        return replace(configured, backend=make_backend(seat), price=prices.of_backend(seat))

    return StudentSeats(store, configured, make)


def chat_settings(settings: Settings) -> ChatSettings:
    """Return how an agent's calls are answered, by the settings."""
    from icd.chat.budgets import BudgetLimits
    from icd.chat.runtime import ChatSettings

    return ChatSettings(
        policy=parse_policy(settings.policy),
        mode=settings.serve.mode,
        guards=guards(settings),
        k=settings.retrieval.k,
        placement=settings.retrieval.placement,
        strategies=strategy_settings(settings),
        temperature=settings.student.temperature,
        max_tokens=settings.serve.max_tokens,
        text_similarity=settings.serve.text_similarity,
        fall_back_to_student=settings.serve.fall_back_to_student,
        budgets=BudgetLimits(
            key_day=settings.serve.key_day_budget,
            tenant=settings.serve.tenant_budget,
            tenant_day=settings.serve.tenant_day_budget,
            episode=settings.serve.episode_budget,
        ),
    )


def drift_watch(settings: Settings, memory: Memory) -> DriftWatch | None:
    """Return what watches the memory's store for drift, by the settings; None: nothing does."""
    from icd.drift_watch import DriftRule, DriftWatch

    chosen = settings.drift
    if not chosen.watch:
        return None
    return DriftWatch(memory.store, DriftRule(chosen.alpha, chosen.raise_n, chosen.turn_off), memory=memory)


def tokenizer_name(settings: Settings) -> str:
    """Name what counts the tokens of an expert, which has no tokenizer of its own."""
    return settings.student.effective_model if _tokenizer(settings) else ESTIMATED_TOKENIZER


def _tokenizer(settings: Settings) -> Backend | None:
    """Return the student's model for counting an expert's tokens, if it is on this machine and can be used."""
    package = _TOKENIZED_BY.get(settings.student.kind)
    if settings.teacher.kind != "expert" or package is None or not find_spec(package):
        return None
    try:
        return make_backend(settings.student)
    except (ModelFilesError, MissingExtraError):
        return None


def runtime_settings(settings: Settings) -> RuntimeSettings:
    """Return how steps are decided, by the settings."""
    retrieval = settings.retrieval
    prompt = PromptSettings(
        placement=retrieval.placement,
        history_steps=settings.student.history,
        adapt_names=retrieval.adapt_names,
        excerpt_before=retrieval.window,
        excerpt_after=retrieval.window,
        show_actions=_told_in_words(settings.student),
    )
    return RuntimeSettings(
        policy=parse_policy(settings.policy),
        guards=guards(settings),
        k=retrieval.k,
        student_prompt=prompt,
        teacher_prompt=PromptSettings(
            history_steps=settings.teacher.history, show_actions=_told_in_words(settings.teacher)
        ),
        strategies=strategy_settings(settings),
        temperature=settings.student.temperature,
        max_tokens=settings.student.max_tokens,
        max_code_tokens=settings.student.max_code_tokens,
        agreement=settings.agreement,
        copy_above=retrieval.copy_above,
        record=settings.run.record,
    )


def _told_in_words(seat: BackendSettings) -> bool:
    """Say whether a model has to read the possible actions, since its backend cannot be held to them."""
    return seat.kind == "openai" and seat.guided is None


def strategy_library(memory: Memory) -> StrategyLibrary:
    """Return the library of strategies in a memory's store, compared by its embedder."""
    return StrategyLibrary(memory.store, memory.embedder, tools_of=known_tools)


def strategy_settings(settings: Settings) -> StrategySettings:
    """Return which strategies are shown, by the settings."""
    chosen = settings.strategies
    return StrategySettings(chosen.k, chosen.min_similarity, chosen.max_tokens, chosen.per)


def guards(settings: Settings) -> Guards:
    """Return the guards of the settings."""
    chosen = settings.guards
    return Guards(chosen.validity, chosen.progress, chosen.support)


def model_files(settings: Settings) -> dict[str, dict[str, str]]:
    """Return name and sha256 of the local models' files, and of their adapters, by their seat; of those that are on this
    machine."""
    from icd.models import file_sha256, resolve

    found: dict[str, dict[str, str]] = {}
    seats = {"student": settings.student, "teacher": settings.teacher, "verifier": settings.verifier}
    for name, seat in seats.items():
        if seat is None or seat.kind != "local":
            continue
        try:
            path = resolve(seat.path or seat.model or seat.effective_model)
        except (ModelFilesError, ConfigurationError):
            continue
        found[name] = {"file": path.name, "sha256": file_sha256(path)}
        if seat.adapter is not None and (adapter := Path(seat.adapter).expanduser()).is_file():
            found[f"{name}'s adapter"] = {"file": adapter.name, "sha256": file_sha256(adapter)}
    return found


def price_facts(price: Price) -> dict[str, str | float]:
    """Return a price with its source and date, as it is shown and stored."""
    return {
        "input": price.input,
        "cached_input": price.cached_input,
        "output": price.output,
        "source": price.source,
        "as_of": str(price.as_of or ""),
        "note": price.note,
    }
