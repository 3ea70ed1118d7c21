"""What somebody reads on the terminal whose server cannot start, or loses its disk: what is wrong, and what to do."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from agents_load import questions, student, teacher
from served import ICD, STORE, config, refused, serving

from icd.cli.failures import BACKEND, USAGE
from icd.cli.failures import STORE as DISK
from icd.testing import LoopbackServer
from icd_memory.store import Store

NOWHERE = "http://127.0.0.1:9/v1"
GOOD = config(NOWHERE, NOWHERE)
GREETING = 3
"""Lines that a server says at its start: its address, that no key is needed, and where the console is."""
EMBEDDER = '[memory]\nembedder = "hashing"\n'


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        (EMBEDDER, (), USAGE, r"set \[teacher\]"),
        (GOOD.replace("[serve]", "[server]"), (), USAGE, "server.*serve"),
        (GOOD.replace("[serve]", "[serve]\nprot = 1"), (), USAGE, "prot.*port"),
        (GOOD.replace("port = 0", 'port = "many"'), (), USAGE, "serve.port"),
        (GOOD.replace("[prices]", "[[prices"), (), USAGE, "not valid TOML"),
        (GOOD.partition("[prices]")[0], (), USAGE, "no price is known for model .small.*add to icd.toml"),
        (GOOD.replace('"hashing"', '"hasing"'), (), USAGE, "hasing.*hashing"),
        (GOOD, ("--policy", "unanimous(3)"), USAGE, r"unanimous.*unanimity\(n\)"),
        (GOOD, ("--mode", "watch"), USAGE, "observe"),
        (GOOD, ("--host", "0.0.0.0"), USAGE, "icd keys create"),
        (GOOD, ("--host", "no such host"), USAGE, "host"),
        (GOOD.replace(NOWHERE, "nowhere"), (), USAGE, "base_url.*nowhere.*like http"),
        (GOOD.replace(NOWHERE, "http://[::1/v1"), (), USAGE, "base_url"),
        (GOOD.replace("hashing", "minilm"), (), DISK, "icd models pull minilm"),
        (GOOD, ("--student", "local", "--student-model", "smollm2-135m"), BACKEND, "icd models pull smollm2"),
        (GOOD.replace(NOWHERE, "https://models.example/v1"), (), USAGE, "OPENAI_API_KEY"),
        (GOOD, ("--student", "local", "--student-model", "no-such-model"), USAGE, "no-such-model.*smollm2"),
        (GOOD, ("--store", "icd.toml/icd.db"), DISK, "icd.toml.*name another place"),
        (GOOD, ("--config", "nowhere.toml"), USAGE, "nowhere.toml"),
        (GOOD, ("--log-level", "loud"), USAGE, "debug, info"),
    ],
)  # fmt: skip
def test_it_says_in_one_line_what_to_change(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("ICD_MODELS_DIR", str(workspace))
    done = refused(text, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert re.search(said, " ".join(done.stderr.split()))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder where not even root may write")
def test_a_folder_where_nobody_may_write(workspace: Path) -> None:
    done = refused(GOOD, "--store", "/proc/icd.db")
    assert done.returncode == DISK
    assert "check the path and its permissions" in done.stderr


def test_endpoints_that_are_not_there(workspace: Path) -> None:
    """It starts: they may come. Each call is told what is missing, and how long the way was."""
    with serving(config(NOWHERE, NOWHERE, seat="deadline = 1.0\nretries = 1")) as server:
        for one in questions(8)[::2]:
            reply = httpx.post(server.url + one.path, json=one.body)
            assert reply.status_code == 502
            assert "is the server running, and is base_url right?" in reply.json()["error"]["message"]
        assert server.stop() == 0
    assert len(server.said) == GREETING


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a running process are Linux's")
def test_a_disk_that_is_full_and_has_room_again(workspace: Path) -> None:
    one = questions(1)[0]
    with (
        LoopbackServer(student) as small,
        LoopbackServer(teacher) as large,
        serving(config(small.base_url, large.base_url)) as server,
        httpx.Client(base_url=server.url) as client,
    ):

        def say(number: int) -> httpx.Response:
            turns = [{"role": "user", "content": f"easy {number} {'long ' * 20_000}"}]
            return client.post(one.path, json={"model": "icd/cascade", "messages": turns})

        assert say(0).status_code == 200
        size = sum(path.stat().st_size for path in workspace.glob(f"{STORE}*"))
        room = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 200_000, room[1]))
        answered = 1
        while (reply := say(answered)).status_code == 200:
            answered += 1
        assert reply.status_code == 503
        assert reply.json()["error"]["code"].startswith("memory.store")
        assert "icd.db" not in reply.text
        assert client.get("/healthz").status_code == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, room)
        assert say(answered).status_code == 200
        assert server.stop() == 0
    with Store.open(STORE) as store:
        assert store.stats().decisions == answered + 1
    (told,) = server.said[GREETING:]
    assert "icd.db" in told
    assert "free space" in told


def test_wrong_keys_and_tenants_on_the_command_line(workspace: Path) -> None:
    def icd(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([*ICD, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    code, said = icd("keys", "list", "--store", STORE)
    assert (code, "there is no store" in said) == (USAGE, True)
    code, said = icd("keys", "create", "--store", STORE, "--role", "boss")
    assert (code, "agent, operator" in said) == (USAGE, True)
    code, said = icd("keys", "create", "--store", STORE, "--tenant", "a b")
    assert (code, "cannot name a tenant" in said) == (USAGE, True)
    assert icd("keys", "create", "--store", STORE)[0] == 0
    code, said = icd("keys", "revoke", "nobody", "--store", STORE)
    assert (code, "icd keys list" in said) == (USAGE, True)
