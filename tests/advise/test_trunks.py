"""Trunks scored before anything is trained: what is known, what was lost, what is refused."""

import dataclasses

import numpy as np
import pytest
import torch

from metarl.adapt.statistics import Interval
from metarl.advise.trunks import (
    MISLEADS,
    NO_BETTER,
    SERVES,
    TrunkScore,
    feature_score,
    left_out_errors,
    ranked,
    score_trunk,
)
from metarl.errors import CheckpointError, ScoreError, UnknownNameError
from metarl.perception.backbones import build_backbone
from metarl.perception.classifier import save_classifier
from metarl.perception.data import Data
from metarl.perception.own import Labelled
from metarl.perception.pictures import draw_pictures, get_scene
from metarl.perception.questions import Classes, numbers_of

SCENE = "metarl_kitchen.ingredients:kitchen/ingredients"
FEW = 60


@pytest.fixture(scope="module")
def drawn():
    return draw_pictures(get_scene(SCENE), FEW, seed=7, size=32)


def data_of(drawn, *, classes):
    names = tuple(map(str, range(FEW)))
    if classes:
        words = np.array([f"{label}" for label in drawn.label])
        part = Labelled(names, drawn.pixels, ("class",), words)
        return Data(part, part, Classes(tuple(sorted(set(words)))), (), ())
    part = Labelled(names, drawn.pixels, ("doneness",), drawn.doneness[:, None])
    return Data(part, part, numbers_of(part.columns, part.target), (), ())


@pytest.mark.parametrize("classes", [True, False])
def test_a_trunk_that_knows_serves_and_one_that_is_untrained_does_not(drawn, tmp_path, classes):
    data = data_of(drawn, classes=classes)
    knows = score_trunk(data, "small-cnn")
    assert knows.verdict == SERVES
    assert "shipped" in knows.trunk
    network = build_backbone("small-cnn", 8, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for p in network.trunk.parameters():  # it sees nothing any more
            p.zero_()
    path = tmp_path / "blind.safetensors"
    save_classifier(path, network, backbone="small-cnn", classes=tuple("abcdefgh"))
    blind = score_trunk(data, "small-cnn", weights=path)
    assert blind.verdict == MISLEADS
    assert blind.harm.low > 0.0
    assert blind.untrained_error < blind.error
    assert knows.error < knows.untrained_error
    assert blind.untrained == knows.untrained  # the same network, whatever the file
    assert ranked([blind, knows]) == [knows, blind]
    again = score_trunk(data, "small-cnn")
    assert (again.score, again.untrained) == (knows.score, knows.untrained)


def test_a_score_hangs_on_what_features_say_and_not_on_their_units():
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.normal(size=(FEW, 1)).astype(np.float32))
    question = numbers_of(("y",), y.numpy())
    noise = rng.normal(size=(FEW, 5))
    telling = np.column_stack((noise, y.numpy() + 0.1 * rng.normal(size=(FEW, 1))))
    assert feature_score(telling, question, y) > feature_score(noise, question, y) + 0.5
    other = telling * np.array([0.5, 1.0, 2.0, 3.0, 1.0, 0.7]) * 1e3 + 7.0
    same = feature_score(other, question, y)
    assert same == pytest.approx(feature_score(telling, question, y), abs=1e-6)
    still = np.column_stack((telling, np.full(FEW, 3.0)))  # says nothing, costs nothing
    assert feature_score(still, question, y) == pytest.approx(same, abs=1e-6)
    assert np.isfinite(feature_score(np.ones((FEW, 3)), question, y))


def test_classes_are_scored_one_against_the_others():
    label = torch.arange(FEW) % 3
    question = Classes(("a", "b", "c"))
    telling = np.eye(3)[label.numpy()] + 0.01 * np.random.default_rng(0).normal(size=(FEW, 3))
    dealt = telling[np.random.default_rng(1).permutation(FEW)]
    assert feature_score(telling, question, label) > feature_score(dealt, question, label) + 1.0


def test_what_is_not_sure_is_no_verdict():
    one = TrunkScore("small-cnn", "a file", -1.0, -1.0, 0.2, 0.2, Interval(-0.1, 0.1), 0.0)
    assert (one.gain, one.verdict) == (0.0, NO_BETTER)
    assert dataclasses.replace(one, harm=Interval(-0.2, -0.1)).verdict == SERVES
    assert dataclasses.replace(one, harm=Interval(0.1, 0.2)).verdict == MISLEADS
    assert dataclasses.replace(one, harm=Interval(np.nan, np.nan)).verdict == NO_BETTER


def test_pictures_left_out_are_answered_by_the_others():
    """Features that name each picture, and nothing else, answer none that was left out."""
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.normal(size=(FEW, 1)).astype(np.float32))
    question = numbers_of(("y",), y.numpy())
    names = left_out_errors(np.eye(FEW), question, y)
    knows = left_out_errors(y.double().numpy(), question, y)
    assert names.shape == knows.shape == (FEW,)
    assert knows.mean() < 0.01
    assert names.mean() > 0.6
    label = torch.tensor([0, 1] * 5 + [2])
    wrong = left_out_errors(np.eye(3)[label.numpy()], Classes(("a", "b", "c")), label)
    assert wrong.tolist() == [0.0] * 10  # the one that is alone in its class is never left out
    with pytest.raises(ScoreError, match="one picture of each class"):
        left_out_errors(np.eye(3), Classes(("a", "b", "c")), torch.arange(3))
    with pytest.raises(ScoreError, match="1 pictures are too few"):
        left_out_errors(np.ones((1, 2)), question, y[:1])


def test_what_is_no_trunk_is_refused(drawn, tmp_path):
    data = data_of(drawn, classes=False)
    with pytest.raises(UnknownNameError, match="small-cnn"):
        score_trunk(data, "resnet-of-nobody")
    with pytest.raises(CheckpointError, match="no file"):
        score_trunk(data, "small-cnn", weights=tmp_path / "absent.safetensors")
