"""Pictures, the classifier, and the swap of its head."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from metarl.errors import (
    CheckpointError,
    ConfigError,
    FamilyError,
    SimulationError,
    TrainingError,
    UnknownNameError,
)
from metarl.nn.network import Network
from metarl.perception import headswap, pictures
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
from metarl.perception.pictures import Studio, draw_pictures, get_scene, register_scene
from metarl.perception.sheet import contact_sheet
from metarl.transfer.strategy import get_strategy, strategies_by_name
from metarl.transfer.student import Student
from metarl.types import take

KITCHEN = "metarl_kitchen.ingredients:kitchen/ingredients"
QUICK = FitConfig(max_epochs=3, patience=3)


def state(module: torch.nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scene():
    return get_scene(KITCHEN)


@pytest.fixture(scope="module")
def drawn(scene):
    return draw_pictures(scene, 48, seed=0)


@pytest.fixture(scope="module")
def trained():
    return train_classifier(KITCHEN, seed=0, num_pictures=600, num_held_out=120, epochs=6)


@pytest.fixture(scope="module")
def shipped():
    folder = files("metarl_kitchen") / "checkpoints"
    return headswap.load_classifier(Path(str(folder / "ingredients.safetensors")))


@dataclasses.dataclass(frozen=True)
class Dots:
    label: np.ndarray
    doneness: np.ndarray


class Ball:
    """A grey ball that darkens; a stranger's scene in a dozen lines."""

    classes = ("ball",)
    camera = "eye"

    def spec(self):
        return """<mujoco><worldbody><light pos="0 0 3"/>
          <camera name="eye" pos="0 0 2"/>
          <geom name="ball" type="sphere" size="0.5"/></worldbody></mujoco>"""

    def sample(self, rng, n):
        return Dots(np.zeros(n, np.int64), rng.uniform(0, 1, n))

    def apply(self, model, data, row):
        model.geom("ball").rgba[:3] = 1.0 - row.doneness
        pictures.mujoco.mj_forward(model, data)


# Pictures ---------------------------------------------------------------------------------


def test_same_seed_same_bytes(scene, drawn):
    again, other = (draw_pictures(scene, 48, seed=seed) for seed in (0, 1))
    for name in ("pixels", "label", "doneness"):
        assert getattr(drawn, name).tobytes() == getattr(again, name).tobytes()
        assert getattr(drawn, name).tobytes() != getattr(other, name).tobytes()


def test_pictures_have_the_declared_shapes_and_content(scene, drawn):
    assert drawn.pixels.shape == (48, 64, 64, 3)
    assert (drawn.pixels.dtype, drawn.label.dtype, drawn.doneness.dtype) == (
        np.dtype("uint8"),
        np.dtype("int64"),
        np.dtype("float32"),
    )
    assert drawn.pixels.std(axis=(1, 2)).min(axis=0).max() > 0  # no picture is one flat colour
    assert len(np.unique(drawn.label)) > len(scene.classes) // 2
    assert len(scene.classes) >= 6


def test_a_picture_does_not_depend_on_those_before_it(scene, drawn):
    rows = scene.sample(np.random.default_rng(0), 48)
    with Studio(scene) as studio:
        alone = studio.shoot(take(rows, np.asarray(47)))
    assert np.array_equal(alone, drawn.pixels[47])


@pytest.mark.parametrize("label", range(8))
def test_burning_darkens_every_ingredient_and_nothing_else(scene, label):
    row = take(scene.sample(np.random.default_rng(3), 1), np.asarray(0))
    with Studio(scene) as studio:
        shots = [
            studio.shoot(dataclasses.replace(row, label=label, doneness=doneness)).astype(float)
            for doneness in (0.0, 1.0)
        ]
    changed = np.abs(shots[0] - shots[1]).max(axis=-1) > 8
    assert 0.01 < changed.mean() < 0.5
    assert shots[1][changed].mean() < shots[0][changed].mean() - 20
    assert not changed[:4].any()  # the counter behind the pan


def test_every_class_looks_different(scene):
    row = take(scene.sample(np.random.default_rng(3), 1), np.asarray(0))
    with Studio(scene) as studio:
        shots = [
            studio.shoot(dataclasses.replace(row, label=i, doneness=0.5)).tobytes()
            for i in range(len(scene.classes))
        ]
    assert len(set(shots)) == len(scene.classes)


def test_contact_sheet_has_a_row_a_class(scene):
    sheet = contact_sheet(scene, columns=3, size=16)
    assert sheet.shape == (len(scene.classes) * 16, 3 * 16, 3)
    raw, burnt = sheet[:, :16], sheet[:, 32:]
    assert raw.mean() > burnt.mean()


def test_a_strangers_scene_is_enough():
    ball = draw_pictures(Ball(), 6, seed=0, size=16)
    middle = ball.pixels[:, 8, 8, 0]
    assert np.array_equal(np.argsort(middle), np.argsort(-ball.doneness))


def test_unknown_scene_lists_names_and_broken_packages(monkeypatch):
    get_scene(KITCHEN)
    monkeypatch.setattr(pictures, "announced_modules", lambda: ["no_such_package"])
    with pytest.raises(UnknownNameError, match="did you mean 'kitchen/ingredients'") as caught:
        get_scene("kitchen/ingredient")
    assert "no_such_package is broken" in str(caught.value)


def test_two_scenes_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(pictures, "SCENES", {})
    register_scene("a/ball")(Ball)
    register_scene("a/ball")(Ball)  # a module that is imported twice is no conflict
    with pytest.raises(FamilyError, match=r"Ball.*Ingredients"):
        register_scene("a/ball")(type("Ingredients", (), {}))


def test_bad_scenes_are_named():
    class Torn(Ball):
        def spec(self):
            return "<mujoco><worldbody><geom type='blob'/></worldbody></mujoco>"

    class Odd(Ball):
        def sample(self, rng, n):
            return Dots(np.ones(n, np.int64), np.zeros(n))

    class Raw(Ball):
        def sample(self, rng, n):
            return Dots(np.zeros(n, np.int64), np.full(n, np.nan))

    class Few(Ball):
        def sample(self, rng, n):
            return super().sample(rng, n - 1)

    cases = [
        (Torn, SimulationError, "Torn: .*blob"),
        (Odd, FamilyError, "labels out of 0..0"),
        (Raw, FamilyError, "doneness"),
        (Few, FamilyError, "2 rows of label; expected 3"),
    ]
    for kind, error, message in cases:
        with pytest.raises(error, match=message):
            draw_pictures(kind(), 3, seed=0)


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="torch came without triton")
def test_drawing_before_the_first_optimiser_does_not_crash():
    script = (
        "from metarl.perception.pictures import draw_pictures, get_scene\n"
        f"draw_pictures(get_scene({KITCHEN!r}), 1, seed=0)\n"
        "import triton\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The classifier ---------------------------------------------------------------------------


def test_a_short_training_beats_chance(trained, scene):
    # of 120 pictures; twice chance is four standard deviations above it
    assert trained[1] > 2.0 / len(scene.classes)


def test_shipped_classifier_is_what_its_meta_says(shipped, scene):
    network, meta = shipped
    fresh = draw_pictures(scene, 300, seed=99)
    answers = predict(network, to_tensor(fresh.pixels)).argmax(-1).numpy()
    spread = np.sqrt(meta["accuracy"] * (1.0 - meta["accuracy"]) / len(fresh.label))
    assert (answers == fresh.label).mean() == pytest.approx(meta["accuracy"], abs=4.0 * spread)
    assert tuple(meta["classes"]) == scene.classes
    assert meta["accuracy"] > 0.95


def test_training_repeats_bit_for_bit():
    budget = {"num_pictures": 24, "num_held_out": 8, "epochs": 2}
    first, again = (train_classifier(KITCHEN, seed=4, **budget) for _ in range(2))
    other = train_classifier(KITCHEN, seed=5, **budget)
    assert state(first[0]) == state(again[0])
    assert first[1] == again[1]
    assert state(first[0]) != state(other[0])


def test_a_classifier_survives_its_checkpoint(trained, scene, tmp_path):
    path = tmp_path / "net.safetensors"
    headswap.save_classifier(
        path, trained[0], backbone="small-cnn", classes=scene.classes, accuracy=trained[1]
    )
    network, meta = headswap.load_classifier(path)
    assert state(network) == state(trained[0])
    assert tuple(meta["classes"]) == scene.classes
    assert meta["accuracy"] == trained[1]


def test_a_checkpoint_of_another_architecture_is_refused(trained, tmp_path):
    path = tmp_path / "net.safetensors"
    for backbone, classes, message in (
        ("small-cnn", ("a", "b"), "mismatched head.weight"),
        ("large-cnn", ("a",), "expected one of small-cnn"),
    ):
        headswap.save_classifier(path, trained[0], backbone=backbone, classes=classes)
        with pytest.raises(CheckpointError, match=message):
            headswap.load_classifier(path)


# The head swap ----------------------------------------------------------------------------


def test_frozen_trunk_keeps_its_bytes(trained, drawn):
    network = trained[0]
    before = state(network)
    inputs, target = to_tensor(drawn.pixels), torch.from_numpy(drawn.doneness)
    student, _, _ = swap_head(
        network, get_strategy("frozen-trunk"), inputs, target, seed=0, config=QUICK
    )
    assert state(student.trunk) == state(network.trunk)
    assert all(param.grad is None for param in student.trunk.parameters())
    assert all(param.grad is not None for param in student.head.parameters())
    assert student(inputs).shape == (len(inputs), 1)
    assert state(network) == before


@pytest.mark.parametrize("name", [name for name in for_pictures() if name != "frozen-trunk"])
def test_other_strategies_move_the_trunk(trained, drawn, name):
    inputs, target = to_tensor(drawn.pixels), torch.from_numpy(drawn.doneness)
    few = FitConfig(max_epochs=10, patience=10)
    student, _, best = swap_head(trained[0], get_strategy(name), inputs, target, seed=0, config=few)
    assert best > 5  # in the second phase, where there are two
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
    config = FitConfig(rate=0.02, batch_size=8, max_epochs=50, patience=5, held_back=0.5)
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


def test_bad_budgets_are_refused(trained, scene):
    for bad in ({"batch_size": 0}, {"patience": 0}, {"held_back": 1.0}, {"held_back": 0.0}):
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
    assert list(report["strategies"]) == for_pictures()
    for summary in report["strategies"].values():
        errors = [result["mae"] for result in summary["results"]]
        assert summary["mae"]["mean"] == pytest.approx(np.mean(errors))
        assert min(errors) <= summary["mae"]["mean_low"] <= summary["mae"]["mean_high"]
        assert len(errors) == len(report["accuracy"]) == report["config"]["seeds"] == 2
    for name in ("headswap.png", "headswap-seconds.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
