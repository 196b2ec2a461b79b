"""The swap of a classifier's head, and its benchmarks."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from metarl.errors import (
    ConfigError,
    TrainingError,
    UnknownNameError,
)
from metarl.nn.network import Network
from metarl.perception import headswap
from metarl.perception.arrays import to_tensor
from metarl.perception.backbones import BACKBONES, build_backbone
from metarl.perception.classifier import descend, predict
from metarl.perception.headswap import (
    FitConfig,
    compare,
    fit,
    for_pictures,
    swap_head,
    train_classifier,
)
from metarl.transfer.strategy import get_strategy, strategies_by_name
from metarl.transfer.student import Student

KITCHEN = "metarl_kitchen.ingredients:kitchen/ingredients"
QUICK = FitConfig(max_epochs=3, patience=3)


def state(module: torch.nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


@pytest.mark.parametrize("solve", [True, False])
def test_frozen_trunk_keeps_its_bytes(trained, drawn, solve):
    network, config = trained[0], dataclasses.replace(QUICK, solve=solve)
    before = state(network)
    inputs, target = to_tensor(drawn.pixels), torch.from_numpy(drawn.doneness)
    student, _, _ = swap_head(
        network, get_strategy("frozen-trunk"), inputs, target, seed=0, config=config
    )
    assert state(student.trunk) == state(network.trunk)
    assert all(param.grad is None for param in student.trunk.parameters())
    assert all((param.grad is None) == solve for param in student.head.parameters())
    off = (student(inputs).squeeze(-1) - target).abs().mean()
    assert not solve or off < 0.7 * (target - target.median()).abs().mean()
    assert student(inputs).shape == (len(inputs), 1)
    assert state(network) == before


@pytest.mark.parametrize("name", [name for name in for_pictures() if name != "frozen-trunk"])
def test_other_strategies_move_the_trunk(trained, drawn, name):
    inputs, target = to_tensor(drawn.pixels), torch.from_numpy(drawn.doneness)
    few = FitConfig(max_epochs=10, patience=10)
    student, _, best = swap_head(trained[0], get_strategy(name), inputs, target, seed=0, config=few)
    assert best > (5 if name == "lp-ft" else 0)  # in the second phase, where there are two
    assert state(student.trunk) != state(trained[0].trunk)
    assert student.state_dict().keys() == trained[0].state_dict().keys()  # plain weights


def test_what_imitates_old_answers_has_no_meaning_for_a_new_question(trained, scene, drawn):
    assert set(strategies_by_name()) - set(for_pictures()) == {"kickstart"}
    inputs, target = to_tensor(drawn.pixels), torch.from_numpy(drawn.doneness)
    said = "kickstart imitates the source's answers.*another one; expected one of fine-tune"
    with pytest.raises(ConfigError, match=said):
        swap_head(trained[0], get_strategy("kickstart"), inputs, target, seed=0, config=QUICK)
    with pytest.raises(ConfigError, match=said):
        compare(trained[0], scene, seed=0, strategies=["fine-tune", "kickstart"])


def test_the_second_phase_comes_even_where_the_first_stops_improving():
    """The trunk learns although patience ends long before its share of the epochs."""
    module = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(module.bias, 0.25)  # steps of 1e-9 are lost on it, whatever was drawn
    student = Student(module, get_strategy("lp-ft"), rate=1e-9, generator=torch.Generator())
    seen = []
    student.at = lambda progress: (seen.append(progress), Student.at(student, progress))[1]
    config = FitConfig(batch_size=8, max_epochs=50, patience=2, held_back=0.5)
    fit(student, torch.zeros(16, 1), torch.full((16,), 0.5), torch.Generator(), config)
    assert [p < 0.5 for p in seen].count(True) == 3  # one that is best, two that are not
    assert seen[3:] == [0.5, 0.5]


def test_patience_begins_anew_with_the_second_phase():
    """Also where it comes in its time: the head's best epoch does not count against it."""
    module = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(module.bias, 0.25)  # steps of 1e-9 are lost on it, whatever was drawn
    student = Student(module, get_strategy("lp-ft"), rate=1e-9, generator=torch.Generator())
    config = FitConfig(batch_size=8, max_epochs=10, patience=5, held_back=0.5)
    epochs, best = fit(
        student, torch.zeros(16, 1), torch.full((16,), 0.5), torch.Generator(), config
    )
    assert (epochs, best) == (10, 1)


class Normed(torch.nn.Module):
    """Pictures through a batch norm, whose statistics move in training."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, pictures):
        return self.norm(pictures).mean((-2, -1))


@pytest.mark.parametrize("name", ["frozen-trunk", "low-rank", "fine-tune"])
def test_a_frozen_trunk_keeps_its_statistics(name):
    network = Network(Normed(), 3, torch.Generator().manual_seed(0)).train()
    pictures = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    before = state(network)
    predict(network, pictures)
    assert network.training
    assert state(network) == before  # what only judges moves nothing
    target = torch.linspace(0.0, 1.0, 10)
    student, _, _ = swap_head(network, get_strategy(name), pictures, target, seed=0, config=QUICK)
    assert (state(student.trunk) == state(network.trunk)) == (name != "fine-tune")


def test_shipped_trunk_learns_doneness_from_its_head_alone(shipped, scene):
    (result,) = compare(shipped[0], scene, num_test=200, seed=1, strategies=["frozen-trunk"])
    assert result.mae < 0.6 * result.constant_mae
    assert result.best_epoch <= result.epochs <= FitConfig().max_epochs


def test_comparison_repeats_and_keeps_the_order(trained, scene):
    seen = []
    names = ("small-rate", "scratch")
    runs = [
        compare(
            trained[0],
            scene,
            num_train=20,
            num_test=10,
            seed=3,
            strategies=names,
            config=QUICK,
            progress=lambda done, total: seen.append((done, total)),
        )
        for _ in range(2)
    ]
    assert [result.strategy for result in runs[0]] == list(names)
    assert [result.mae for result in runs[0]] == [result.mae for result in runs[1]]
    assert len({result.constant_mae for result in runs[0]}) == 1
    assert seen == [(1, 2), (2, 2)] * 2


class Echo(torch.nn.Module):
    """Answers one number whatever it is asked."""

    def __init__(self, start: float):
        super().__init__()
        self.answer = torch.nn.Parameter(torch.tensor([start]))

    def forward(self, x):
        return self.answer.expand(len(x), 1)


def test_fit_stops_when_patience_ends_and_keeps_the_best_epoch():
    # Those held back want 0.5, the others 1.0: from 0.4 the best answer is passed on the way.
    config = FitConfig(
        rate=0.02, batch_size=8, max_epochs=50, patience=5, held_back=0.5, least_steps=1
    )
    echo = Echo(0.4)
    student = Student(
        echo, get_strategy("fine-tune"), rate=config.rate, generator=torch.Generator()
    )
    student.optimizer = torch.optim.SGD(echo.parameters(), lr=config.rate)
    target = torch.cat([torch.ones(8), torch.full((8,), 0.5)])
    epochs, best = fit(student, torch.zeros(16, 1), target, torch.Generator(), config)
    answers = [1.0 - 0.6 * (1.0 - 2.0 * config.rate) ** epoch for epoch in range(1, 51)]
    nearest = int(np.argmin(np.abs(np.array(answers) - 0.5))) + 1
    assert (epochs, best) == (nearest + config.patience, nearest)
    assert echo.answer.item() == pytest.approx(answers[nearest - 1], abs=1e-5)


@pytest.mark.parametrize(
    ("n", "batch", "steps"), [(4, 8, 10), (8, 4, 10), (32, 4, 16), (44, 4, 11)]
)
def test_few_pictures_are_passed_over_until_there_are_steps_enough(n, batch, steps):
    """Else a head at zero is given up before it has moved: an epoch of ten pictures is one step."""
    config = FitConfig(rate=1e-3, batch_size=batch, max_epochs=1, held_back=0.5)
    echo = Echo(0.0)
    student = Student(echo, get_strategy("fine-tune"), rate=1e-3, generator=torch.Generator())
    student.optimizer = torch.optim.SGD(echo.parameters(), lr=1e-3)
    seen = []
    echo.register_forward_hook(
        lambda module, args, out: seen.append(len(args[0])) if module.training else None
    )
    fit(student, torch.zeros(2 * n, 1), torch.ones(2 * n), torch.Generator(), config)
    assert len(seen) == steps
    assert sum(seen) % n == 0  # whole passes: each picture as often as another
    assert echo.answer.item() == pytest.approx(1.0 - (1.0 - 2e-3) ** steps, abs=1e-5)


def test_the_control_is_the_same_strategy_with_other_noise(trained, scene):
    own, other = compare(
        trained[0], scene, num_train=20, num_test=10, seed=3, strategies=["fine-tune"],
        control="fine-tune", config=QUICK,
    )  # fmt: skip
    assert [own.strategy, other.strategy] == ["fine-tune", "fine-tune, other noise"]
    assert own.constant_mae == other.constant_mae  # of the same pictures
    assert own.mae != other.mae
    (alone,) = compare(
        trained[0], scene, num_train=20, num_test=10, seed=3, strategies=["fine-tune"], config=QUICK
    )
    assert alone.mae == own.mae
    with pytest.raises(UnknownNameError, match="frozen-trunk"):
        compare(trained[0], scene, seed=0, control="frozen")


def test_bad_budgets_are_refused(trained, scene):
    for bad in (
        {"batch_size": 0},
        {"patience": 0},
        {"least_steps": 0},
        {"held_back": 1.0},
        {"held_back": 0.0},
    ):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            FitConfig(**bad)
    with pytest.raises(ConfigError, match="too few"):
        compare(trained[0], scene, num_train=1, num_test=1, seed=0)
    with pytest.raises(ConfigError, match="epochs is 0"):
        train_classifier(KITCHEN, seed=0, epochs=0)
    with pytest.raises(ConfigError, match="seed is -1"):
        compare(trained[0], scene, seed=-1)
    with pytest.raises(UnknownNameError, match="frozen-trunk"):
        compare(trained[0], scene, seed=0, strategies=["frozen"])
    with pytest.raises(UnknownNameError, match="small-cnn"):
        build_backbone("small", 2, torch.Generator())


def test_a_loss_that_is_not_finite_changes_nothing():
    network = build_backbone(BACKBONES[0], 1, torch.Generator().manual_seed(0))
    before = state(network)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
    with pytest.raises(TrainingError, match="nan"):
        descend(optimiser, network(torch.full((1, 3, 64, 64), torch.nan)).sum())
    assert state(network) == before


# The benchmarks, as a user runs them ------------------------------------------------------

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run_benchmark(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), "--scene", KITCHEN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_classifier_benchmark_writes_what_the_demo_loads(tmp_path):
    out, sheet = tmp_path / "net.safetensors", tmp_path / "sheet.png"
    sizes = ("--num-pictures", "16", "--num-held-out", "8", "--epochs", "1")
    run_benchmark("classifier.py", *sizes, "--out", str(out), "--sheet", str(sheet))
    meta = headswap.load_classifier(out)[1]
    assert meta["num_pictures"] == 16
    assert meta["command"].startswith("python benchmarks/classifier.py --scene")
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_headswap_benchmark_writes_json_and_pictures(tmp_path):
    sizes = ("--num-pictures", "16", "--num-held-out", "8", "--epochs", "1", "--max-epochs", "1")
    sizes += ("--num-train", "10", "--num-test", "8")
    run_benchmark("headswap.py", "--seeds", "2", *sizes, "--out", str(tmp_path))
    report = json.loads((tmp_path / "headswap.json").read_text())
    assert list(report["strategies"]) == [*for_pictures(), "fine-tune, other noise"]
    for summary in report["strategies"].values():
        errors = [result["mae"] for result in summary["results"]]
        assert summary["mae"]["mean"] == pytest.approx(np.mean(errors))
        assert min(errors) <= summary["mae"]["mean_low"] <= summary["mae"]["mean_high"]
        assert len(errors) == len(report["accuracy"]) == report["config"]["seeds"] == 2
    for name in ("headswap.png", "headswap-seconds.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
