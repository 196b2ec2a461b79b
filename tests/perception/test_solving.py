"""Heads of trunks that stand: the solution itself, and a penalty that pictures left out have chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from metarl.errors import ConfigError, TrainingError
from metarl.perception.calibration import calibrate
from metarl.perception.heads import LEAST_SPREAD, logistic_head, ridge_heads, spreads
from metarl.perception.questions import Classes, numbers_of
from metarl.perception.solving import Solving

RNG = np.random.default_rng(0)


def solved(features, target, question):
    head = nn.Linear(features.shape[1], question.width)
    solving = Solving(
        head, torch.from_numpy(features).float(), torch.from_numpy(target), asked=question
    )
    row = solving.epoch()
    assert solving.epoch() is None
    return head, solving, row


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)])
def test_ridge_heads_are_where_the_slope_is_zero(shape):
    x, y = RNG.normal(3.0, 2.0, shape), RNG.normal(size=(shape[0], 2))
    penalties = np.array([0.1, 5.0])
    for penalty, (weight, bias) in zip(penalties, ridge_heads(x, y, penalties)):
        off = x @ weight.T + bias - y
        assert np.abs(off.T @ x + penalty * weight).max() < 1e-8
        assert np.abs(off.sum(0)).max() < 1e-9


def test_a_logistic_head_is_where_the_slope_is_zero_wherever_it_begins():
    x, label = RNG.normal(size=(60, 5)), RNG.integers(3, size=60)
    weight, bias = logistic_head(x, label, 3, 2.0)
    logits = x @ weight.T + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert np.abs(2.0 * (p - np.eye(3)[label]).T @ x + weight).max() < 1e-3
    other = logistic_head(x, label, 3, 2.0, start=(weight + 1.0, bias))
    assert np.allclose(other[0], weight, atol=1e-3)


def test_numbers_are_found_again_each_with_its_own_penalty():
    """The first is a sum of features, the second is noise, which a large penalty answers best."""
    x = RNG.normal(5.0, [0.1, 1.0, 10.0, 0.0], (200, 4)).astype(np.float32)
    target = np.stack([x[:, 0] * 30 + x[:, 2], RNG.normal(size=200)], 1).astype(np.float32)
    question = numbers_of(("sum", "noise"), target)
    head, solving, row = solved(x, target, question)
    answers = question.answers(head(torch.from_numpy(x))).detach().numpy()
    assert np.abs(answers[:, 0] - target[:, 0]).mean() < 0.02
    assert np.abs(answers[:, 1] - target[:, 1].mean()).max() < 0.5
    assert row["held-back error"] == solving.error > 0.3
    outputs, truth = solving.unseen()
    found = calibrate(question, outputs, truth)
    within = np.abs(answers - target) <= np.array(found.half_widths)
    assert (within.mean(0) > 0.85).all()


def test_classes_are_told_apart_and_what_is_left_out_calibrates():
    label = np.arange(90) % 3
    x = (RNG.normal(size=(3, 6))[label] * 3 + RNG.normal(size=(90, 6))).astype(np.float32)
    head, solving, row = solved(x, label, Classes(("a", "b", "c")))
    right = head(torch.from_numpy(x)).argmax(-1).numpy() == label
    assert right.mean() > 0.95
    outputs, _ = solving.unseen()
    assert (outputs.argmax(-1).numpy() == label).mean() > 0.9
    assert row["loss"] < row["held-back error"]  # what it was fitted to, and what it was not


def test_two_pictures_are_enough_and_one_is_not():
    target = np.array([[0.0], [1.0]], np.float32)
    question, x = numbers_of(("x",), target), np.array([[1.0, 2.0], [3.0, 2.0]], np.float32)
    head, solving, _ = solved(x, target, question)
    assert torch.isfinite(head.weight).all()
    assert np.isfinite(solving.error)
    with pytest.raises(ConfigError, match="1 pictures are too few"):
        solved(x[:1], target[:1], question)
    with pytest.raises(TrainingError, match="not finite"):
        solved(np.full((3, 2), np.nan, np.float32), target[[0, 1, 1]], question)


def test_the_only_picture_of_a_class_is_never_left_out():
    label = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    x = (RNG.normal(size=(8, 2)) + label[:, None] * 9).astype(np.float32)
    head, solving, _ = solved(x, label, Classes(("a", "b")))
    assert head(torch.from_numpy(x)).argmax(-1).tolist() == label.tolist()
    outputs, truth = solving.unseen()
    assert len(outputs) == len(truth) == 7
    head, solving, row = solved(x[6:], label[6:], Classes(("a", "b")))
    assert head(torch.from_numpy(x[6:])).argmax(-1).tolist() == [0, 1]
    assert row.keys() == {"loss"}
    assert calibrate(Classes(("a", "b")), *solving.unseen()).temperature == 1.0


def test_a_feature_that_hardly_varies_is_not_blown_up():
    """It lies thousands of its spreads away on a picture to come, as features behind a ReLU do."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 40))
    features[:, 0] = 0.0
    features[7, 0] = 1e-3
    target = torch.from_numpy(features[:, 1:2] + 0.3 * rng.normal(size=(60, 1))).float()
    question = numbers_of(("y",), target.numpy())
    head = nn.Linear(40, 1)
    Solving(head, torch.from_numpy(features).float(), target, asked=question).epoch()
    fresh = rng.normal(size=(50, 40))
    fresh[:, 0] = 0.0
    fresh[3, 0] = 3.0  # 23,000 of its spreads
    answers = question.answers(head(torch.from_numpy(fresh).float())).detach().numpy()[:, 0]
    away = np.abs(answers - fresh[:, 1])
    assert away.mean() < 0.4
    assert away[3] < 3.0


def test_spreads_have_a_floor_and_nothing_stays_nothing():
    features = np.column_stack((np.zeros(8), np.arange(8.0), 1e-6 * np.arange(8.0)))
    found = spreads(features)
    assert found[0] == 0.0
    assert found[1] == features[:, 1].std()
    assert found[2] == pytest.approx(LEAST_SPREAD * np.sqrt(np.mean(features.std(0) ** 2)))
    assert not spreads(np.ones((4, 3))).any()
