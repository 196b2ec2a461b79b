"""Pictures and targets that a user brings: checked, and nothing is scaled twice."""

import dataclasses

import numpy as np
import pytest
import torch

from metarl.errors import ConfigError, FamilyError, ShapeError
from metarl.perception.arrays import to_tensor
from metarl.perception.backbones import build_backbone
from metarl.perception.classifier import predict
from metarl.perception.headswap import FitConfig, fit, mean_absolute_error, swap_head
from metarl.perception.pictures import draw_pictures, require_valid_rows
from metarl.streams import derive_seed
from metarl.transfer.strategy import get_strategy
from metarl.transfer.student import Student

QUICK = FitConfig(max_epochs=1, patience=1, batch_size=4)
BYTES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
PICTURES = to_tensor(BYTES)
TARGET = torch.linspace(0.0, 1.0, 8)


@pytest.fixture(scope="module")
def network():
    return build_backbone("small-cnn", 3, torch.Generator().manual_seed(0))


def test_nothing_is_scaled_twice():
    for kind in (np.float64, np.float32):
        assert torch.allclose(to_tensor((BYTES / 255.0).astype(kind)), PICTURES, atol=1e-7)
    assert PICTURES.max() > 0.9
    assert to_tensor(BYTES).dtype == to_tensor(BYTES / 255.0).dtype == torch.float32


def poisoned(value):
    out = BYTES / 255.0
    out[3, 5, 7, 1] = value
    return out


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (BYTES.astype(np.float32), r"must lie in \[0, 1\]; got 0 to 255"),
        (poisoned(np.nan), "got nan to nan"),
        (poisoned(-0.5), "got -0.5 to"),
        (poisoned(np.inf), "to inf"),
        (BYTES.astype(np.int64), r"must be uint8, or floats in \[0, 1\]; got int64"),
        (BYTES > 128, "got bool"),
        (BYTES.astype(str), "got <U"),
        (BYTES.astype(object), "got object"),
        (BYTES.transpose(0, 3, 1, 2), r"got \(8, 3, 32, 32\); transpose\(0, 2, 3, 1\) turns"),
        (BYTES[0], r"got \(32, 32, 3\); pixels\[None\] makes"),
        (BYTES[..., :1], r"got \(8, 32, 32, 1\)$"),
        (np.concatenate([BYTES, BYTES[..., :1]], axis=3), r"got \(8, 32, 32, 4\)"),
        (BYTES[:0], r"got \(0, 32, 32, 3\)"),
        (BYTES.tolist(), "as a NumPy array; got list"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_picture_is_told(pixels, said):
    with pytest.raises(ShapeError, match=said):
        to_tensor(pixels)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (PICTURES * 255.0, r"pictures must lie in \[0, 1\]; got 0 to 255"),
        (PICTURES * torch.nan, "got nan to nan"),
        (PICTURES.permute(0, 2, 3, 1), r"got \(8, 32, 32, 3\)"),
        (PICTURES[0], r"got \(3, 32, 32\)"),
        (PICTURES[:0], r"got \(0, 3, 32, 32\)"),
        ((PICTURES * 255).byte(), "got torch.uint8"),
        (PICTURES.double(), "got torch.float64"),
        (BYTES, "got ndarray"),
    ],
)
def test_networks_are_given_pictures_alone(network, inputs, said):
    with pytest.raises(ShapeError, match=said):
        predict(network, inputs)
    with pytest.raises(ShapeError, match=said):
        swap_head(network, get_strategy("fine-tune"), inputs, TARGET, seed=0, config=QUICK)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (TARGET[:, None], r"must have shape \(8,\), a number a picture; got \(8, 1\)"),
        (TARGET[:4], r"got \(4,\)"),
        (TARGET.sum(), r"got \(\)"),
        (TARGET * torch.nan, r"the target must lie in \[0, 1\]; got nan to nan"),
        (TARGET * 30.0, "got 0 to 30; scale yours"),
        (TARGET - 0.5, "got -0.5 to"),
        (TARGET.double(), "must be float32; got torch.float64"),
        (torch.arange(8), "must be float32; got torch.int64"),
        (TARGET.numpy(), "must be a tensor"),
        (None, "got NoneType"),
    ],
)
@pytest.mark.parametrize("strategy", ["fine-tune", "frozen-trunk"])
def test_targets_are_a_number_a_picture(network, strategy, target, said):
    with pytest.raises(ShapeError, match=said):
        swap_head(network, get_strategy(strategy), PICTURES, target, seed=0, config=QUICK)
    head, g = torch.nn.Linear(4, 1), torch.Generator()
    student = Student(head, get_strategy(strategy), rate=QUICK.rate, generator=g)
    with pytest.raises(ShapeError, match=said):
        fit(student, torch.zeros(8, 4), target, g, QUICK)
    with pytest.raises(ShapeError, match=said):
        mean_absolute_error(head, torch.zeros(8, 4), target)


def test_good_pictures_and_targets_are_taken(network):
    student, epochs, best = swap_head(
        network, get_strategy("fine-tune"), PICTURES, TARGET, seed=0, config=QUICK
    )
    assert (epochs, best) == (1, 1)
    assert predict(student, PICTURES).shape == (8, 1)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_are_numbers(rate):
    with pytest.raises(ConfigError, match="rate is"):
        FitConfig(rate=rate)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "8", None])
def test_counts_are_whole(number):
    with pytest.raises(ConfigError, match="batch_size is"):
        FitConfig(batch_size=number)
    with pytest.raises(ConfigError, match="n is"):
        draw_pictures(None, number, seed=0)


def test_more_pictures_than_memory_are_refused():
    with pytest.raises(ConfigError, match="1000000000000 pictures of 64 pixels would need"):
        draw_pictures(None, 10**12, seed=0)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None])
def test_seeds_are_whole(seed):
    with pytest.raises(ConfigError, match="seed is"):
        derive_seed(seed, "x")


@dataclasses.dataclass(frozen=True)
class Rows:
    label: object
    doneness: object
    tint: object


class Scene:
    classes = ("ball", "cube")


GOOD = Rows(np.array([0, 1]), np.array([0.1, 0.9]), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({}, "returned dict; expected a dataclass of arrays"),
        (None, "returned NoneType"),
        (dataclasses.replace(GOOD, label=np.array([0.5, 1.0])), "labels of float64; expected int"),
        (dataclasses.replace(GOOD, label=[0, 1]), "returned label of shape"),
        (dataclasses.replace(GOOD, label=np.array([0, 2])), r"labels out of 0\.\.1"),
        (dataclasses.replace(GOOD, doneness=np.zeros((2, 1))), r"doneness of shape \(2, 1\)"),
        (dataclasses.replace(GOOD, doneness=np.array([0.0, 1.1])), r"doneness out of \[0, 1\]"),
        (dataclasses.replace(GOOD, tint=np.full((2, 3), np.nan)), "tint that is not finite"),
        (dataclasses.replace(GOOD, tint=np.zeros((3, 3))), "3 rows of tint; expected 2"),
        (dataclasses.replace(GOOD, tint=1.0), "no rows of tint; expected 2"),
    ],
)
def test_what_a_scene_samples_is_checked(rows, said):
    require_valid_rows(Scene(), GOOD, 2)
    with pytest.raises(FamilyError, match=said):
        require_valid_rows(Scene(), rows, 2)
