"""A campaign of seeded edits: whatever stands in the files, one line and exit 2, or it works."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import traceback
from pathlib import Path
from typing import Any

import pytest
from forged import sign

from metarl.cli import main
from metarl.runs.checkpoint import load_checkpoint

OLDER = Path(__file__).parent / "older"
STEP = Path("checkpoints") / "step-00000002.safetensors"
LONGEST_S = 20  # that an edit may take on a busy machine; it takes a few tenths of a second
DEEP: list[Any] = []
for _ in range(150):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 0.5, 1e308, float("inf"), float("nan"), 10**30, 2**63, "x", "", "\ud800",
    "\x1b[31m", "x" * 10_000, [], [[]], {}, {"a": []}, [1] * 1000, ["a"], [-1], [10**9], DEEP,
)  # fmt: skip
SMALL = (
    "--num-tasks", "1", "--episodes", "1", "--eval-episodes", "1", "--updates", "1", "--no-film",
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (table or list, key) in a nested value."""
    found = []
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            found += places(value[key])
    return found


def edit(value: Any, rng: random.Random) -> str:
    """Change one entry of a nested value in place; says what was done."""
    table, key = rng.choice(places(value))
    if isinstance(table, dict) and rng.random() < 0.15:
        table[f"{key}x"] = table.pop(key)
        return f"{key} renamed"
    if rng.random() < 0.1:
        del table[key]
        return f"{key} deleted"
    table[key] = rng.choice(VALUES)
    return f"{key} = {str(table[key])[:30]!r}"


def damage(data: bytes, rng: random.Random) -> bytes:
    """Change some bytes of a text."""
    at = rng.randrange(len(data))
    return rng.choice(
        [
            data[:at],
            data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
            data[:at] + b"[" * 200_000 + data[at:],
            data[:at] + rng.choice([b"1e999", b"\xff\xfe", b"\\ud800", b"\0", b'"', b"{}"]) + data[at:],
            data[:at] + data[at + rng.randrange(1, 40) :],
            data + data,
        ]
    )  # fmt: skip


class Late(BaseException):
    """An edit that hangs; no handler of exceptions catches it."""


@contextlib.contextmanager
def in_time():
    def ring(*_):
        raise Late(f"more than {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def failure(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command; what is wrong with how it ended, empty if nothing."""
    try:
        with in_time():
            code = main(words)
    except (Exception, Late):
        return traceback.format_exc(limit=-3)
    said = capsys.readouterr().err
    if code not in (0, 2):
        return f"exit {code}: {said}"
    if "Traceback" in said:
        return said
    wrong = [line for line in said.splitlines() if line.startswith("metarl: ")]
    return "" if code == 0 or len(wrong) == 1 else f"exit 2, and {len(wrong)} lines: {said}"


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory):
    """What is imported once is not counted against an edit."""
    run = tmp_path_factory.mktemp("warm") / "run"
    shutil.copytree(OLDER / "ppo", run)
    again = ["train", "toy:toy/reach", "--method", "ppo", "--out", str(run), "--resume"]
    assert main([*again, "--iterations", "3"]) == 0
    assert main(["report", str(run), "--no-film"]) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs an alarm")
class TestCampaign:
    @pytest.mark.parametrize("seed", range(16))
    def test_json_files(self, tmp_path, capsys, seed):
        rng, run = random.Random(seed), tmp_path / "run"
        shutil.copytree(OLDER / "ppo", run)
        path = run / rng.choice(["config.json", "result.json", "metrics.jsonl"])
        if rng.random() < 0.5:
            path.write_bytes(damage(path.read_bytes(), rng))
        else:
            lines = (
                [json.loads(x) for x in path.read_text().splitlines()]
                if path.name[-1] == "l"
                else []
            )
            content = lines or json.loads(path.read_text())
            edit(content, rng)
            text = (
                "\n".join(json.dumps(x) for x in content) + "\n" if lines else json.dumps(content)
            )
            path.write_text(text)
        again = ["train", "toy:toy/reach", "--method", "ppo", "--out", str(run), "--resume"]
        words = again if seed % 2 else ["report", str(run), "--no-film"]
        assert failure(words, capsys) == ""

    @pytest.mark.parametrize("method", ["ppo", "maml"])
    @pytest.mark.parametrize("seed", range(8))
    def test_metas_signed_anew(self, tmp_path, capsys, method, seed):
        rng, run = random.Random(seed), tmp_path / "run"
        shutil.copytree(OLDER / method, run)
        found = load_checkpoint(run / STEP)
        interface = {name: value for name, value in found.meta.items() if name != "state"}
        # Half of the edits in what it says of itself, which is small beside its state.
        edit(interface if rng.random() < 0.5 else found.meta["state"], rng)
        meta = {**interface, "state": found.meta["state"]}
        tensors = {name: found.tensors[name] for name in sorted(found.tensors)}
        if rng.random() < 0.3:
            tensors.pop(rng.choice(list(tensors)))
        elif rng.random() < 0.3:
            name = rng.choice(list(tensors))
            tensors[name] = tensors[name].flatten()[:1].clone()
        sign(run / STEP, {"meta": meta}, tensors)
        again = ["train", "toy:toy/reach", "--method", method, "--out", str(run), "--resume"]
        words = (
            [*again, "--iterations", "3"]
            if seed % 2
            else ["adapt", str(run), "toy:toy/reach", *SMALL]
        )
        assert failure(words, capsys) == ""

    @pytest.mark.parametrize(
        ("method", "name"),
        [
            (method, name)
            for method in ("ppo", "maml")
            for name in sorted(load_checkpoint(OLDER / method / STEP).tensors)
            if name.startswith("state/") and "/optimizer/" not in name
        ],
    )
    def test_state_that_does_not_fit_is_not_stretched(self, tmp_path, capsys, method, name):
        run = tmp_path / "run"
        shutil.copytree(OLDER / method, run)
        found = load_checkpoint(run / STEP)
        tensors = {**found.tensors, name: found.tensors[name].flatten()[:1].clone()}
        sign(run / STEP, {"meta": found.meta}, tensors)
        again = ["train", "toy:toy/reach", "--method", method, "--out", str(run), "--resume"]
        assert main([*again, "--iterations", "3"]) == 2
        assert "Traceback" not in capsys.readouterr().err

    def test_bytes_of_a_checkpoint(self, tmp_path, capsys):
        run, rng = tmp_path / "run", random.Random(0)
        shutil.copytree(OLDER / "ppo", run)
        whole = (run / STEP).read_bytes()
        for _ in range(25):
            (run / STEP).write_bytes(damage(whole, rng))
            assert failure(["adapt", str(run / STEP), "toy:toy/reach", *SMALL], capsys) == ""
