"""Every mistake of a user: one line, exit 2, at once, and nothing written."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import resource
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
from console import HERE, metarl

from metarl import cli
from metarl.commands import catalogue, perceive
from metarl.runs.fields import valid_words

SEASON = "kitchen/season"
LIMIT_S = 2.0  # the goal is 1 s, which an idle machine keeps; torch alone takes 2

MISTAKES = [
    # Commands and words.
    ("famlies", "families"),
    ("--sede", "unknown option '--sede'"),
    ("-x", "unknown option '-x'"),
    ("train", "lacks FAMILY"),
    ("adapt", "lacks CHECKPOINT and FAMILY"),
    ("adapt season-pearl", "lacks FAMILY"),
    ("watch", "lacks FAMILY"),
    ("check", "lacks FAMILY"),
    ("report", "lacks RUN_FOLDER"),
    ("version now", "'now' is too much"),
    ("check toy/reach toy/reach", "'toy/reach' is too much"),
    ("families all", "unknown family 'all'"),
    ("families kitchen/add all", "'all' is too much"),
    ("perceive", "metarl perceive lacks a command; expected swap, predict"),
    ("perceive swap --data nowhere", "nowhere does not exist"),
    ("perceive predict nowhere", "lacks PICTURE"),
    # Flags.
    ("watch toy/reach --polcy expert", "did you mean '--policy'"),
    ("train toy/reach --sede 3", "did you mean '--seed'"),
    ("train toy/reach --no-live", "valid: --backend"),
    ("adapt x toy/reach --updats 3", "did you mean '--updates'"),
    ("check toy/reach --seed 3", "unknown option of metarl check '--seed'"),
    ("report . --outt x", "did you mean '--out'"),
    ("version --robots", "unknown option of metarl version '--robots'"),
    ("families --robot", "did you mean '--robots'"),
    ("demo --seed 1", "valid: --json, --no-json, --out"),
    ("train toy/reach --seed 1 --seed 2", "--seed stands there twice"),
    ("train toy/reach --seed=1 --seed=1", "--seed stands there twice"),
    ("train toy/reach --max-seconds 1 --max_seconds 2", "--max-seconds stands there twice"),
    ("train toy/reach --resume --resume", "--resume stands there twice"),
    ("train toy/reach --from a --from b", "--from stands there twice"),
    ("watch toy/reach --live --no-live", "--no-live stands there twice"),
    ("adapt x toy/reach --split test --split far", "--split stands there twice"),
    ("adapt x toy/reach --film a.mp4 --film b.mp4", "--film stands there twice"),
    ("watch toy/reach --live yes", "'yes' is too much"),
    ("watch toy/reach --policy", "--policy has no value"),
    ("watch toy/reach --policy --seed 1", "--policy has no value"),
    ("train toy/reach --set", "--set has no value"),
    ("train toy/reach --set --seed 1", "--set has no value"),
    ("train toy/reach --out=", "--out is empty"),
    ("watch toy/reach --policy=", "--policy is empty"),
    ("watch toy/reach --split tset", "did you mean 'test'"),
    ("adapt x toy/reach --split all", "valid: far, test, train"),
    ("train toy/reach --backend tourch", "did you mean 'torch'"),
    # Numbers.
    ("watch toy/reach --seed three", "--seed is 'three'; expected an integer"),
    ("watch toy/reach --seed 1.0", "--seed is '1.0'; expected an integer"),
    ("watch toy/reach --seed -1", "--seed is -1; expected an integer >= 0 and <= 4294967295"),
    ("watch toy/reach --seed 1180591620717411303424", "an integer >= 0 and <= 4294967295"),
    ("train toy/reach --seed 4294967296", "--seed is 4294967296"),
    ("train toy/reach --seed inf", "--seed is 'inf'"),
    ("adapt x toy/reach --seed 18446744073709551616", "--seed is 18446744073709551616"),
    ("train toy/reach --seed " + "9" * 5000, "expected an integer"),
    ("train toy/reach --iterations 0", "--iterations is 0"),
    ("train toy/reach --iterations -5", "--iterations is -5"),
    ("train toy/reach --iterations 1e3", "--iterations is '1e3'"),
    ("train toy/reach --iterations 18446744073709551616", "an integer >= 1 and <= 1000000000"),
    ("train toy/reach --max-seconds inf", "--max-seconds is inf"),
    ("train toy/reach --max-seconds nan", "--max-seconds is nan"),
    ("train toy/reach --max-seconds -1", "--max-seconds is -1.0"),
    ("train toy/reach --max-seconds 0", "--max-seconds is 0.0"),
    ("train toy/reach --max-seconds 1e300", "--max-seconds is 1e+300"),
    ("train toy/reach --max-seconds soon", "expected a number"),
    ("watch toy/reach --episodes 0", "--episodes is 0; expected an integer >= 1 and <= 10000"),
    ("watch toy/reach --episodes 100000000", "--episodes is 100000000"),
    ("adapt x toy/reach --num-tasks 0", "--num-tasks is 0"),
    ("adapt x toy/reach --num-tasks 1e2", "--num-tasks is '1e2'"),
    ("adapt x toy/reach --episodes -1", "--episodes is -1"),
    ("adapt x toy/reach --eval-episodes 0", "--eval-episodes is 0"),
    ("adapt x toy/reach --updates -1", "--updates is -1"),
    ("adapt x toy/reach --updates 100000000", "--updates is 100000000"),
    # Devices.
    ("train toy/reach --device gpu", "device is 'gpu'; expected cpu, cuda or cuda:N"),
    ("train toy/reach --device mps", "device is 'mps'"),
    ("train toy/reach --device meta", "device is 'meta'"),
    ("train toy/reach --device cpu:7", "device is 'cpu:7'"),
    ("train toy/reach --device cuda:-1", "device is 'cuda:-1'"),
    ("train toy/reach --device cuda:18446744073709551616", "expected cpu"),
    ("train toy/reach --device CPU", "device is 'CPU'"),
    # Names.
    ("watch kitchen/seson", "did you mean 'kitchen/season'"),
    ("watch toy:toy/rech", "did you mean 'toy/reach'"),
    ("check kitchn/heat", "did you mean 'kitchen/heat'"),
    ("train kitchn/season", "did you mean 'kitchen/season'"),
    ("train kitchen/season@robt=panda", "did you mean 'robot'"),
    ("train kitchen/season@robot", "expected kitchen/season@NAME=VALUE"),
    ("watch toy/reach --policy exprt", "did you mean 'expert'"),
    ("watch toy/reach --policy reference", "no trained reference"),
    ("adapt season-perl kitchen/season", "season-pearl"),
    ("train toy/reach --method mamml", "did you mean 'maml'"),
    ("train kitchen/season --from nowhere", "no checkpoint nowhere"),
    ("report nowhere", "run folder"),
    ("check no_such_module:a/b", "cannot import 'no_such_module'"),
    # Settings.
    ("train toy/reach --set outr_rate=1", "did you mean 'outer_rate'"),
    ("train toy/reach --set outer_rate=fast", "expected float"),
    ("train toy/reach --set seed=1", "option of its own"),
    ("train toy/reach --set outer_rate", "NAME=VALUE"),
    ("train toy/reach --set num_tasks=2 --set num_tasks=3", "each name once"),
    ("train toy/reach --set outer_rate=1e400", "finite number > 0"),
    ("train toy/reach --set outer_rate=NaN", "finite number > 0"),
    ("train toy/reach --set num_tasks=1e3", "expected int"),
    ("train toy/reach --set num_tasks=18446744073709551616", "num_tasks is 18446744073709551616"),
    ("train toy/reach --set episodes=" + "9" * 5000, "a sane length"),
    ("train toy/reach --set hidden=" + "[" * 100_000, "a sane length"),
    ("train toy/reach --set hidden=[1000000,1000000]", "widths >= 1"),
    ("train toy/reach --set log_std=1e9", "log_std is"),
    ("train toy/reach --method ppo --backend learn2learn", "has no effect"),
    ("train toy/reach --method ppo --strategy lp-ft", "needs a policy to start from: --from"),
    ("train toy/reach --method ppo --from x --strategy lpft", "did you mean 'lp-ft'"),
    ("train toy/reach --method ppo --from x --strategy l2-sp-dagger", "unknown strategy"),
    (
        "train toy/reach --from x --strategy l2-sp",
        "has no effect: maml goes on training everything",
    ),
    ("train toy/reach --method ppo --from x --strategy lp-ft --set head_shar=1", "'head_share'"),
    ("train toy/reach --method ppo --from x --strategy lp-ft --set head_share=1", "(0, 1)"),
    ("train toy/reach --method ppo --from x --strategy lp-ft --set clip=0", "clip is 0.0"),
    (
        "train toy/reach --method ppo --set exploration=source",
        "needs a policy to start from: --from",
    ),
    ("train toy/reach --method ppo --set exploration=none", "valid: fresh, source"),
    ("train toy/reach --method ppo --set noise=-1", "noise is -1"),
    ("adapt x toy/reach --strategy lp-ft --set head_share=1", "head_share is 1.0"),
    ("adapt x toy/reach --strategy low-rank-dagger --set rank=0", "rank is 0"),
    ("methods mamml", "did you mean 'maml'"),
    # Searches.
    ("tune", "lacks FAMILY"),
    ("tune toy/reach toy/reach", "'toy/reach' is too much"),
    ("tune kitchn/heat", "did you mean 'kitchen/heat'"),
    ("tune toy/reach --method mamml", "did you mean 'maml'"),
    ("tune toy/reach --method fine-tune", "trains nothing, so there is nothing to search"),
    ("tune toy/reach --method modular", "trains on several families at once"),
    ("tune toy/reach --method eyes", "a search cannot judge that yet"),
    ("tune toy/reach --split test", "unknown option of metarl tune '--split'"),
    ("tune toy/reach --search", "--search has no value"),
    ("tune toy/reach --search outr_rate=1..2", "did you mean 'outer_rate'"),
    ("tune toy/reach --search outer_rate=1e-2..1e-4", "the lower end stands first"),
    ("tune toy/reach --search outer_rate=-1..1:log", "finite number > 0"),
    ("tune toy/reach --method ppo --search entropy=0..1:log", "expected one > 0 with :log"),
    ("tune toy/reach --method ppo --search epochs=1..2.5", "expected int"),
    ("tune toy/reach --method ppo --search activation=tanh", "one value is no search"),
    ("tune toy/reach --method ppo --search clip=0.1..0.3 --set clip=0.2", "is searched and set"),
    ("tune toy/reach --method ppo --set exploration=source", "--from CHECKPOINT"),
    ("tune toy/reach --method ppo --updates 3", "--updates has no effect: ppo meets tasks"),
    ("tune toy/reach --trials 0", "--trials is 0"),
    ("tune toy/reach --seeds 0", "--seeds is 0"),
    ("tune toy/reach --together 0", "--together is 0"),
    ("tune toy/reach --metric speed", "valid: returns, score, success"),
    ("tune toy/reach --from nowhere", "no checkpoint nowhere"),
    ("tune toy/reach --ray nowhere", "'nowhere' is too much"),
    # Matrices and comparisons.
    ("transfer-matrix", "lacks FAMILY"),
    ("transfer-matrix kitchen/seson", "did you mean 'kitchen/season'"),
    ("transfer-matrix toy/reach toy/reach", "toy/reach stands there twice"),
    ("transfer-matrix toy/reach --seeds 0", "--seeds is 0"),
    ("transfer-matrix toy/reach --jobs 0", "--jobs is 0"),
    ("transfer-matrix toy/reach --strategies fine-tun", "did you mean 'fine-tune'"),
    ("transfer-matrix toy/reach --strategies scratch", "everything is held against it"),
    ("transfer-matrix toy/reach --strategies lp-ft lp-ft", "stands there twice"),
    ("transfer-matrix toy/reach --explorations none", "valid: fresh, source"),
    ("transfer-matrix toy/reach --robots pandda", "did you mean 'panda'"),
    ("transfer-matrix kitchen/add@robot=panda --robots ur5e", "names its robot already"),
    ("transfer-matrix toy/reach --set num_wrlds=3", "did you mean 'num_worlds'"),
    ("transfer-matrix toy/reach --set log_std=-1", "is what arms differ in"),
    ("transfer-matrix toy/reach --set iterations=3", "option of its own"),
    ("transfer-matrix toy/reach --sources nowhere", "no checkpoint nowhere"),
    ("transfer-matrix toy/reach --only-report", "--only-report takes no FAMILY"),
    ("transfer-matrix --only-report --out nowhere", "nowhere"),
    ("compare", "lacks SOURCE ..."),
    ("compare heat-ppo", "metarl compare lacks --family"),
    ("compare --family kitchen/heat", "lacks SOURCE ..."),
    ("compare nowhere --family kitchen/heat", "no checkpoint nowhere"),
    ("compare kitchen/heat --family kitchen/heat --map robot=0:4", "--map has no effect"),
    ("compare heat-ppo --family kitchn/heat", "did you mean 'kitchen/heat'"),
    ("compare heat-ppo --family kitchen/heat --seeds 99999999", "--seeds is 99999999"),
    ("methods maml ppo", "'ppo' is too much"),
    # Benchmarks.
    ("benchmark", "metarl benchmark lacks FILE.toml"),
    ("benchmark nowhere.toml", "no file nowhere.toml; expected a benchmark, a TOML file"),
    ("benchmark .", "cannot read .: it is a folder"),
    ("benchmark a.toml b.toml", "'b.toml' is too much"),
    ("benchmark a.toml --jobs 0", "--jobs is 0"),
    ("benchmark a.toml --lst", "did you mean '--list'"),
    ("benchmark a.toml --ray --ray", "--ray stands there twice"),
    ("benchmark --only-report", "--only-report takes --out FOLDER alone"),
    ("benchmark a.toml --only-report --out x", "--only-report takes --out FOLDER alone"),
    ("benchmark --only-report --out nowhere", "metarl benchmark FILE.toml has written"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES, ids=[words[:60] for words, _ in MISTAKES])
def test_a_mistake_is_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status = cli.main(words.split())
    out, err = capsys.readouterr()
    assert status == 2
    assert err.startswith("metarl: ")
    assert err.count("\n") == 1
    assert says in err
    assert len(err) < 1500
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "famlies",
        "train kitchen/season --sede 3",
        "train kitchen/season --seed 4294967296",
        "train kitchen/season --max-seconds inf",
        "train kitchen/season --device mps",
        "train kitchen/season --set outr_rate=1",
        "train kitchen/season --method ppo --set num_worlds=0",
        "train kitchen/season --method ppo --set num_worlds=1000000000",
        "train kitchen/season --set hidden=[999999,999999]",
        "train kitchen/season --device cuda:999",
        "train kitchen/seson",
        "watch kitchen/season --policy exprt",
        "adapt season-perl kitchen/season",
        "report nowhere",
        "compare heat-ppo --family kitchen/heat --strategies lp-tf",
        "transfer-matrix kitchen/heat --set num_wrlds=3",
    ],
)
def test_a_mistake_is_told_at_once(words, tmp_path):
    took_s = []
    while not took_s or (min(took_s) >= LIMIT_S and len(took_s) < 3):
        before_s = seconds_of_children()
        done = metarl(*words.split(), cwd=tmp_path)
        took_s.append(seconds_of_children() - before_s)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert min(took_s) < LIMIT_S


def seconds_of_children() -> float:
    """Processor time: on a busy machine the clock says nothing about a command."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_every_number_has_bounds():
    checked = 0
    for cls in (*catalogue.COMMANDS.values(), *perceive.COMMANDS.values()):
        kinds = get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if {int, float} & {kinds[field.name], *get_args(kinds[field.name])}:
                assert valid_words(field), f"{cls.__name__}.{field.name}"
                checked += 1
    assert checked > 8


def test_a_flag_that_adds_up_may_be_repeated(tmp_path, capsys):
    def config(*words):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        tiny = ["--iterations", "1", "--out", str(out)]
        assert cli.main(["train", "toy/reach", *words, *tiny]) == 0, capsys.readouterr().err
        return (out / "config.json").read_text().partition('"made-with"')[0]

    apart = config("--set", "num_tasks=2", "--set", "episodes=2", "hidden=[8]")
    assert apart == config("--set", "num_tasks=2", "episodes=2", "hidden=[8]")
    assert '"num_tasks": 2' in apart
    assert '"episodes": 2' in apart


@pytest.mark.parametrize("command", ["train", "watch", "check", "report", "adapt"])
@pytest.mark.parametrize("name", [b"\xff", b"caf\xe9/\xff"])
def test_a_name_that_is_no_utf8(command, name, tmp_path):
    words = [sys.executable, "-m", "metarl", command, name, name]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "is not UTF-8" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_cannot_speak_to_the_terminal(capsys):
    assert cli.main(["report", "a\x1b[31m\nb"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_a_folder_without_permissions(tmp_path):
    """One process without privileges is asked all of it."""
    asked = [
        "train toy:toy/reach --out {}/run",
        "train toy:toy/reach --from {}",
        "report {}",
        "watch toy:toy/reach --policy {}/policy.safetensors",
        "adapt {} toy:toy/reach",
        "demo --out {}/demo",
    ]
    barred = tmp_path / "barred"
    barred.mkdir()
    barred.chmod(0o000)
    code = "import sys; from metarl.cli import main; print([main(w.split()) for w in sys.argv[1:]])"
    done = subprocess.run(
        [sys.executable, "-c", code, *(words.format(barred) for words in asked)],
        cwd=HERE, capture_output=True, text=True, preexec_fn=_without_privileges,
    )  # fmt: skip
    barred.chmod(0o700)
    assert done.stdout == f"{[2] * len(asked)}\n", done.stderr
    told = done.stderr.splitlines()
    assert len(told) == len(asked), done.stderr
    for line in told:
        assert "Permission denied" in line
        assert str(barred) in line


def _without_privileges() -> None:
    """Let root be barred too: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH before the program."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
