"""Pictures that a scene renders, and the classifier of them."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch

from metarl.errors import (
    CheckpointError,
    FamilyError,
    SimulationError,
    UnknownNameError,
)
from metarl.perception import headswap, pictures
from metarl.perception.arrays import to_tensor
from metarl.perception.classifier import predict
from metarl.perception.headswap import (
    train_classifier,
)
from metarl.perception.pictures import Studio, draw_pictures, get_scene, register_scene
from metarl.perception.sheet import contact_sheet
from metarl.types import take

KITCHEN = "metarl_kitchen.ingredients:kitchen/ingredients"


def state(module: torch.nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


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
