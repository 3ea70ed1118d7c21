"""The command line in this process: results, exit codes, errors that say what to do."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from small_world import WALKTHROUGH, small_game
from test_game_library import IDS, write_pack

import icd
from icd.cli.app import run
from icd.cli.failures import tell
from icd.errors import BackendTimeoutError, BudgetError, ConfigurationError, IcdMemoryError
from icd_envs.household.engine import Engine, Turn

HASHING = ("--embedder", "hashing")


@pytest.fixture(autouse=True)
def _place(workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ICD_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "200")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def call_json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    found, out, err = call(capsys, *arguments, "--json")
    assert found == code, err
    return json.loads(out)


def collect(capsys: pytest.CaptureFixture[str], count: int = 3) -> Any:
    return call_json(capsys, "collect", "household", "-n", str(count), *HASHING)


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version") == (0, f"icd-runtime {icd.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command"),
        (["run"], "Missing argument"),
        (["run", "household", "--episodes", "0"], "greater than or equal to 1"),
        (["run", "household", "--policy", "vote"], "unanimity(n)"),
        (["bench", "household", "--methods", "student,wise"], "no method 'wise'"),
        (["run", "moon"], "there are alfworld, appworld, household, service-desk, workspace"),
        (["bench", "household", "--split", "holidays", "--methods", "teacher"], "no split 'holidays'"),
        (["run", "household", "--games", "x"], "--games"),
        (["run", "household", "--require-sandbox"], "--require-sandbox is for workspace and appworld"),
        (["run", "workspace", "--appworld-root", "x"], "--appworld-root is for appworld"),
        (["run", "appworld", "--policy", "teacher"], "set APPWORLD_ROOT or give --appworld-root"),
        (["collect", "appworld", "--split", "dev"], "'dev' is a test split of appworld"),
        (["run", "household", "--student", "http://127.0.0.1:1/v1"], "model is missing"),
        (["bench", "household", "--methods", "copy"], "icd collect household"),
        (["collect", "household", "--split", "test"], "is a test split"),
        (["report"], "there is no store"),
        (["memory", "list"], "there is no store"),
        (["models", "pull", "smollm"], "did you mean 'smollm2-135m'"),
        (["config", "show", "--config", "nowhere.toml"], "`icd init` writes one"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_an_error_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = call_json(capsys, "run", "moon", code=2)
    assert found["error"]["code"] == "envs.task_not_found"
    assert "household" in found["error"]["message"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (BackendTimeoutError("x"), 3),
        (IcdMemoryError("x"), 4),
        (OSError(28, "No space left on device"), 4),
        (BudgetError("x"), 1),
        (ZeroDivisionError("x"), 70),
        (KeyError("x"), 70),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert tell(error) == code


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match="no environment"):
        run(["run", "moon", "--debug"])


def test_a_store_that_is_none_is_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.db").write_text("these are only notes, and not few of them " * 200)
    code, _, err = call(capsys, "memory", "stats", "--store", "notes.db")
    assert code == 4
    assert "no store" in err


def test_collect_then_run_then_report(capsys: pytest.CaptureFixture[str]) -> None:
    collected = collect(capsys)
    assert collected["episodes"] == collected["demonstrations"] == 3
    arguments = ["bench", "household", "-n", "2", "--methods", "copy,teacher", "--max-steps", "20", *HASHING]
    code, out, err = call(capsys, *arguments, "--html", "pages/report.html")
    assert code == 0
    assert "copy" in out
    assert "relative cost" in out
    assert "teacher household/test/" in err
    again = call_json(capsys, *arguments)
    assert [m["method"]["name"] for m in again["methods"]] == ["copy", "teacher"]
    assert again["methods"][1]["success"]["value"] == 1.0
    shown = call_json(capsys, "report")[0]
    assert {name: shown[name] for name in again} == again
    assert call_json(capsys, "report", "--list")[1]["run"] == again["run_id"]
    page = Path("pages/report.html").read_text()
    for part in ("<svg", "prefers-color-scheme: dark", "nominal", again["run_id"], "arXiv 2512.02543"):
        assert part in page
    for address in ("src=", 'href="http', "@import", "<script"):
        assert address not in page


def test_a_run_with_a_policy_only(capsys: pytest.CaptureFixture[str]) -> None:
    found = call_json(capsys, "run", "household", "-n", "1", "--policy", "teacher")
    assert [m["method"]["name"] for m in found["methods"]] == ["teacher"]


def test_a_missing_model_is_code_3_and_says_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "bench", "household", "-n", "1", "--methods", "student")
    assert code == 3
    assert "icd models pull smollm2-135m" in err


def test_the_demo_says_what_it_fetches_and_when_it_may_not(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "demo")
    assert code == 2
    assert "98 MB, Apache-2.0" in err
    assert "ICD_ALLOW_NETWORK" in err


def test_memory_commands(capsys: pytest.CaptureFixture[str]) -> None:
    run_id = collect(capsys)["run"]
    assert call_json(capsys, "memory", "stats")["trajectories"]["demonstration"] == 3
    listed = call_json(capsys, "memory", "list", "--env", "household")
    first = listed[0]["id"]
    shown = call_json(capsys, "memory", "show", first)
    assert (shown["status"], shown["goal"]) == ("demonstration", listed[0]["goal"])
    found = call_json(capsys, "memory", "search", listed[0]["goal"], *HASHING)
    assert found[0]["trajectory_id"] == first
    call_json(capsys, "memory", "disable", first, "--reason", "wrong", *HASHING)
    assert call_json(capsys, "memory", "show", first)["reason"] == "wrong"
    found = call_json(capsys, "memory", "search", listed[0]["goal"], *HASHING)
    assert first not in [excerpt["trajectory_id"] for excerpt in found]
    call_json(capsys, "memory", "enable", first, *HASHING)
    assert call_json(capsys, "memory", "rebuild", *HASHING)["indexed"] == {"household": 3}
    assert len(call_json(capsys, "memory", "disable", "--source", run_id, *HASHING)["disabled"]) == 3
    assert call_json(capsys, "memory", "list") == []
    assert len(call_json(capsys, "memory", "list", "--status", "all")) == 3
    assert call(capsys, "memory", "list", "--status", "wrong")[0] == 2
    assert call(capsys, "memory", "show", "nobody")[0] == 4


def test_memory_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    collect(capsys)
    for arguments in (
        ["stats"],
        ["list"],
        ["search", "put a cup on the shelf", "--state", "You see.", *HASHING],
    ):
        code, out, _ = call(capsys, "memory", *arguments)
        assert code == 0
        assert out.strip()


def test_another_embedder_is_refused_until_it_is_put_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    collect(capsys)
    with sqlite3.connect(".icd/icd.db") as connection:
        connection.execute("UPDATE meta SET value = 'other/1' WHERE name = 'embedder'")
    connection.close()
    code, _, err = call(capsys, "memory", "search", "cup", *HASHING)
    assert code == 4
    assert "icd memory reembed" in err
    assert call_json(capsys, "memory", "reembed", *HASHING)["indexed"] == {"household": 3}
    assert call(capsys, "memory", "search", "cup", *HASHING)[0] == 0


def test_init_writes_what_config_shows(capsys: pytest.CaptureFixture[str]) -> None:
    before = call_json(capsys, "config", "show")
    assert call(capsys, "init")[0] == 0
    assert call(capsys, "init")[0] == 2
    assert call_json(capsys, "config", "show") == before
    Path("icd.toml").write_text("[student]\ntemperatur = 1\n")
    code, _, err = call(capsys, "config", "show")
    assert code == 2
    assert "did you mean 'student.temperature'" in err


def test_what_config_shows_is_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "config", "show")
    Path("icd.toml").write_text(out)
    assert call(capsys, "config", "show")[1] == out


def test_the_doctor_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = {finding["what"]: finding for finding in call_json(capsys, "doctor", code=1)}
    assert found["student"]["state"] == "missing"
    assert "icd models pull smollm2-135m" in found["student"]["message"]
    assert found["teacher"]["state"] == "ok"
    assert found["ALFWorld games"]["state"] in ("note", "ok")
    Path("icd.toml").write_text(
        '[student]\nkind = "openai"\nmodel = "gpt-4.1-mini"\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[memory]\nembedder = "hashing"\n'
    )
    code, out, _ = call(capsys, "doctor")
    assert code == 0, out
    assert call(capsys, "doctor", "--ask")[0] == 1


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert {e["name"] for e in call_json(capsys, "env", "list")} >= {"household", "alfworld"}
    models = {m["name"]: m for m in call_json(capsys, "models", "list")}
    assert models["smollm2-135m"]["here"] is False
    for arguments in (["env", "list"], ["models", "list"]):
        assert call(capsys, *arguments)[0] == 0


def recording(path: Path, game: str) -> Path:
    def recorded(turn: Turn) -> dict[str, Any]:
        return {"feedback": turn.observation, "admissible": list(turn.admissible), "won": turn.won}

    engine = Engine(small_game())
    reset = recorded(engine.reset())
    steps = [{"command": command, **recorded(engine.step(command))} for command in WALKTHROUGH]
    path.write_text(json.dumps({"game": game, "reset": reset, "steps": steps}) + "\n")
    return path


def test_env_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pack = str(write_pack(tmp_path / "pack", IDS))
    good = recording(tmp_path / "good.jsonl", IDS[0])
    line = f"1 episodes, {len(WALKTHROUGH)} steps, 0 differences\n"
    assert call(capsys, "env", "check", str(good), "--games", pack, "--games", pack)[:2] == (0, line)
    bad = tmp_path / "bad.jsonl"
    bad.write_text(good.read_text().replace('"won": true', '"won": false'))
    code, out, _ = call(capsys, "env", "check", str(bad), "--games", pack)
    assert code == 1
    assert "1 differences\n" in out
    assert "recorded: False" in out
    assert call_json(capsys, "env", "check", str(bad), "--games", pack, code=1)["differences"] == 1
    missing = recording(tmp_path / "missing.jsonl", "train/none/trial")
    assert call(capsys, "env", "check", str(missing), "--games", pack)[0] == 2
    assert call(capsys, "env", "check", str(good), "--games", str(tmp_path / "nowhere"))[0] == 2
