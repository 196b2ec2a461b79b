"""What holds for every score: invariances, order, and what is refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from metarl.advise.scores import h_score, leep, logme, quantile_classes, shrunk_h_score, trans_rate
from metarl.errors import ScoreError, ShapeError

SCORES = {
    "logme": logme,
    "logme-regression": functools.partial(logme, regression=True),
    "h_score": h_score,
    "shrunk_h_score": shrunk_h_score,
    "trans_rate": trans_rate,
}
# Which changes of the features leave which score as it is.
ROTATED = SHIFTED_ROWS = set(SCORES)
ALL_SCALED = {"logme", "logme-regression", "h_score", "shrunk_h_score"}
EACH_SCALED = {"h_score"}
SHIFTED = {"h_score", "shrunk_h_score", "trans_rate"}
APPENDED_ZEROS = {"logme", "logme-regression", "h_score", "trans_rate"}


def samples(n=60, d=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    features = rng.normal(size=(n, d)) + 0.8 * np.eye(classes, d)[labels]
    return features, labels


def rotation(d, seed=1):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def changed(features, how):
    d = features.shape[1]
    return {
        "rotated": lambda: features @ rotation(d),
        "reordered": lambda: features[:, ::-1],
        "all-scaled": lambda: 7.5 * features,
        "each-scaled": lambda: features * np.geomspace(0.1, 30.0, d),
        "shifted": lambda: features + np.linspace(-2.0, 3.0, d),
        "zeros": lambda: np.hstack([features, np.zeros((len(features), 3))]),
    }[how]()


HOLDS = {
    "rotated": ROTATED,
    "reordered": ROTATED,
    "all-scaled": ALL_SCALED,
    "each-scaled": EACH_SCALED,
    "shifted": SHIFTED,
    "zeros": APPENDED_ZEROS,
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("how", HOLDS)
@pytest.mark.parametrize("n", [60, 4])  # also with fewer samples than features
def test_what_leaves_a_score_as_it_is_and_what_does_not(name, how, n):
    score = SCORES[name]
    features, labels = samples()
    features, labels = features[:n], np.resize([0, 1, 2], n) if n < 5 else labels
    before, after = score(features, labels), score(changed(features, how), labels)
    if name in HOLDS[how]:
        assert after == pytest.approx(before, rel=1e-7, abs=1e-9)
    elif n == 60:
        assert abs(after - before) > 1e-5


@pytest.mark.parametrize("name", SCORES)
def test_the_order_of_samples_plays_no_part(name):
    features, labels = samples()
    order = np.random.default_rng(3).permutation(len(labels))
    again = SCORES[name](features[order], labels[order])
    assert again == pytest.approx(SCORES[name](features, labels), rel=1e-9)


@pytest.mark.parametrize("name", sorted(set(SCORES) - {"logme-regression"}))
def test_what_classes_are_called_plays_no_part(name):
    features, labels = samples()
    other = np.array([40, -3, 7])[labels]
    assert SCORES[name](features, other) == pytest.approx(SCORES[name](features, labels), rel=1e-9)


@pytest.mark.parametrize("name", SCORES)
def test_a_perfect_feature_is_above_a_noisy_one_above_a_useless_one(name):
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 40)
    perfect, noise = np.eye(3)[labels], rng.normal(size=(120, 3))
    target = 1.0 - labels if name == "logme-regression" else labels
    features = [x / np.sqrt((x**2).mean()) for x in (perfect, perfect + 0.5 * noise, noise)]
    scores = [SCORES[name](x, target) for x in features]
    assert scores[0] > scores[1] + 0.05
    assert scores[1] > scores[2] + 0.05


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    "shape", ["few samples", "constant", "twice the same", "one sample a class"]
)
def test_degenerate_features_give_finite_scores(name, shape):
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 2, 0])
    features = {
        "few samples": rng.normal(size=(4, 30)),
        "constant": np.full((4, 3), 2.5),
        "twice the same": np.repeat(rng.normal(size=(4, 1)), 2, axis=1),
        "one sample a class": rng.normal(size=(4, 2)),
    }[shape]
    labels = np.arange(4) if shape == "one sample a class" else labels
    score = SCORES[name](features, labels)
    assert np.isfinite(score)
    if shape == "constant" and "logme" not in name:
        assert score == 0.0


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_tiny_and_huge_features_give_finite_scores(name, scale):
    features, labels = samples()
    score = SCORES[name](features * scale, labels)
    assert np.isfinite(score)
    if name in ALL_SCALED:
        assert score == pytest.approx(SCORES[name](features, labels), rel=1e-6)


BAD = [
    (np.zeros((3, 2)), [0, 1], ShapeError, "(3,)"),
    (np.zeros(3), [0, 1, 2], ShapeError, "(samples, features)"),
    (np.zeros((3, 0)), [0, 1, 2], ShapeError, "(samples, features)"),
    (np.full((3, 2), np.nan), [0, 1, 2], ShapeError, "6 of 6"),
    ([["a"], ["b"]], [0, 1], ShapeError, "expected numbers"),
    (np.zeros((1, 2)), [0], ScoreError, "at least 2"),
]


@pytest.mark.parametrize("name", [*SCORES, "leep"])
@pytest.mark.parametrize(("features", "labels", "error", "says"), BAD)
def test_what_is_no_sample_is_refused(name, features, labels, error, says):
    score = {**SCORES, "leep": leep}[name]
    with pytest.raises(error, match=says.replace("(", r"\(").replace(")", r"\)")):
        score(features, labels)


@pytest.mark.parametrize("name", ["logme", "h_score", "shrunk_h_score", "trans_rate", "leep"])
def test_one_class_and_numbers_are_refused_where_classes_are_asked_for(name):
    score = {**SCORES, "leep": leep}[name]
    features = np.full((4, 2), 0.5)
    with pytest.raises(ScoreError, match="all 4 labels are 7"):
        score(features, [7, 7, 7, 7])
    with pytest.raises(ShapeError, match="quantile_classes"):
        score(features, [0.1, 0.2, 0.3, 0.4])


def test_quantile_classes_are_of_one_size_and_in_order():
    values = np.random.default_rng(0).permutation(20) / 3
    classes = quantile_classes(values, 5)
    assert np.bincount(classes).tolist() == [4] * 5
    assert (np.diff(classes[np.argsort(values)]) >= 0).all()
    assert quantile_classes([0.0, 0.0, 0.0, 1.0], 4).tolist() == [0, 0, 0, 1]
    for bad, says in [([[1.0]], "expected"), ([], "expected"), ([np.inf], "infinite")]:
        with pytest.raises(ShapeError, match=says):
            quantile_classes(bad)
    with pytest.raises(ShapeError, match="num_classes is 1"):
        quantile_classes([1.0, 2.0], 1)
