"""Coroutines run for callers that do not await."""

import asyncio
import contextvars
import os
import signal
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from icd.sync import iterate_apart, iterate_sync, run_apart, run_sync

NAME = contextvars.ContextVar("NAME", default="nobody")


async def who() -> tuple[str, str]:
    await asyncio.sleep(0)
    return NAME.get(), threading.current_thread().name


async def numbers(ended: list[str]) -> AsyncGenerator[int, None]:
    try:
        for number in range(3):
            yield number
        await asyncio.Event().wait()
    finally:
        ended.append("ended")


def test_result_comes_from_one_loop_in_the_callers_context() -> None:
    token = NAME.set("me")
    try:
        assert run_sync(who()) == run_sync(who()) == ("me", "icd-sync")
    finally:
        NAME.reset(token)


async def test_works_inside_a_running_loop() -> None:
    assert run_sync(who())[1] == "icd-sync"
    assert [number async for number in _three()] == list(iterate_sync(_three()))


async def _three() -> AsyncGenerator[int, None]:
    for number in range(3):
        yield number


def test_errors_come_through() -> None:
    async def fail() -> AsyncGenerator[int, None]:
        yield 1
        raise LookupError("gone")

    items = iterate_sync(fail())
    assert next(items) == 1
    with pytest.raises(LookupError, match="gone"):
        next(items)
    with pytest.raises(LookupError, match="gone"):
        run_sync(anext(_only_failing()))  # type: ignore[arg-type]


async def _only_failing() -> AsyncGenerator[int, None]:
    raise LookupError("gone")
    yield 1


async def test_awaited_from_another_loop() -> None:
    assert (await run_apart(who()))[1] == "icd-sync"
    assert [number async for number in iterate_apart(_three())] == [0, 1, 2]
    with pytest.raises(LookupError, match="gone"):
        await anext(iterate_apart(_only_failing()))


async def test_awaited_work_is_cancelled_with_its_caller() -> None:
    started, ended = threading.Event(), threading.Event()

    async def long() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(run_apart(long()))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 10)

    told: list[str] = []
    async with aclosing(iterate_apart(numbers(told))) as items:
        async for _ in items:
            break
    assert told == ["ended"]


def test_a_stream_left_early_has_ended_when_it_is_closed() -> None:
    ended: list[str] = []
    for number in iterate_sync(numbers(ended)):
        if number == 2:
            break
    assert ended == ["ended"]


def test_an_interrupted_call_is_cancelled() -> None:
    cancelled = threading.Event()
    # Started in the background by a shell, this process would ignore the signal, and the call wait for ever.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    async def long() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    try:
        with pytest.raises(KeyboardInterrupt):
            run_sync(long())
    finally:
        signal.signal(signal.SIGINT, before)
    assert cancelled.wait(10)


def test_a_call_from_the_loop_itself_names_the_way_out() -> None:
    async def inner() -> None:
        run_sync(who())

    with pytest.raises(RuntimeError, match="await"):
        run_sync(inner())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_loop_of_its_own() -> None:
    run_sync(who())
    child = os.fork()
    if child == 0:
        os._exit(0 if run_sync(who())[1] == "icd-sync" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
