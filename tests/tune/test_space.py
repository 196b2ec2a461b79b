"""What is searched: read strictly, each value checked as `--set` checks it."""

from __future__ import annotations

import math

import pytest

from metarl.errors import ConfigError
from metarl.learn.train import setting_text
from metarl.methods import defaults_of, get_training, training_config, training_names
from metarl.rl.config import PpoConfig
from metarl.tune.space import (
    Choices,
    Range,
    every,
    holds,
    parse_space,
    size_of,
    usual_settings,
    usual_space,
)


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        ("learning_rate=1e-4..1e-2:log", Range(1e-4, 1e-2, log=True)),
        ("clip=0.1..1", Range(0.1, 1.0)),
        ("epochs=1..5", Range(1, 5, whole=True)),
        ("num_worlds=8..512:log", Range(8, 512, log=True, whole=True)),
        ("log_std=-2..-0.5", Range(-2.0, -0.5)),
        ("hidden=[64,64],[256,256]", Choices(([64, 64], [256, 256]))),
        ("activation=tanh,relu", Choices(("tanh", "relu"))),
        ("squash=true,false", Choices((True, False))),
        ("log_std=null,-1.5", Choices((None, -1.5))),
    ],
)
def test_what_can_be_searched(pair, found):
    [(name, one)] = parse_space([pair], PpoConfig).items()
    assert one == found
    assert parse_space([f"{name}={one}"], PpoConfig) == {name: found}  # as it is kept


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["learning_rate"], "expected NAME=LOW..HIGH"),
        (["=1..2"], "expected NAME=LOW..HIGH"),
        (["clip=0.1..0.2", "clip=0.1..0.3"], "each name once"),
        (["learning_rat=1..2"], "did you mean 'learning_rate'"),
        (["seed=1..2"], "has an option of its own"),
        (["iterations=1..2"], "has an option of its own"),
        (["learning_rate=1e-2..1e-4"], "the lower end stands first"),
        (["epochs=3..3"], "the lower end stands first"),
        (["learning_rate=0..1:log"], "finite number > 0"),
        (["entropy=0..1:log"], "the lower end is 0; expected one > 0 with :log"),
        (["log_std=-2..-1:log"], "the lower end is -2; expected one > 0 with :log"),
        (["learning_rate=1e-4..1e-2:lin"], "unknown scale 'lin'; valid: log"),
        (["learning_rate=.."], "expected float"),
        (["learning_rate=1e-4.."], "expected float"),
        (["learning_rate=NaN..1"], "finite number > 0"),
        (["learning_rate=1e-4..1e400"], "finite number > 0"),
        (["learning_rate=slow..fast"], "expected float"),
        (["epochs=1.5..3"], "expected int"),
        (["epochs=1..3.0"], "expected int"),
        (["epochs=0..3"], "an integer >= 1"),
        (["squash=0..1"], "expected bool"),
        (["log_std=null..-1"], "only numbers have a range"),
        (["hidden=64..256"], "expected"),
        (["hidden=64,256"], "expected"),
        (["activation=tanh"], "one value is no search"),
        (["activation="], "unknown value"),
        (["activation=tanh,relu,tanh"], "stands there twice"),
        (["activation=tanh,rel"], "did you mean 'relu'"),
        (["epochs=" + "9" * 5000 + "..3"], "a sane length"),
    ],
)
def test_what_cannot_be_searched_is_told_in_a_line(pairs, says):
    with pytest.raises(ConfigError) as told:
        parse_space(pairs, PpoConfig)
    assert says in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 1500


def test_sizes_and_members():
    space = parse_space(["epochs=2..4", "hidden=[8],[16]", "squash=true,false"], PpoConfig)
    assert size_of(space) == 12 == len(list(every(space)))
    assert all(holds(space, settings) for settings in every(space))
    assert not holds(space, {"epochs": 5, "hidden": [8], "squash": True})
    assert not holds(space, {"epochs": 2, "hidden": [9], "squash": True})
    assert math.isinf(size_of(parse_space(["clip=0.1..0.2"], PpoConfig)))


def test_numbers_are_short_and_stay_between_the_ends():
    one = Range(0.00012345678, 0.1, log=True)
    assert one.short(0.00678901234) == 0.006789
    assert Range(0.1, 0.123456).short(0.123456) == 0.123456  # not 0.1235


@pytest.mark.parametrize("name", training_names())
def test_without_a_word_learning_rates_are_searched(name):
    training = get_training(name)
    usual = defaults_of(training)
    space = usual_space(usual, training_config(name))
    assert space
    assert holds(space, usual_settings(space, training.settings, training.config))
    for field, one in space.items():
        assert field.endswith("_rate")
        assert one.log
        assert one.low == pytest.approx(usual[field] / 10)
    text = [f"{field}={one}" for field, one in space.items()]
    assert parse_space(text, training.config) == space


@pytest.mark.parametrize(
    "value", [1, 1e-5, 0.25, True, None, "tanh", "two words", "true", "null", [64, 64], {"a": [1]}]
)
def test_a_setting_is_read_as_it_is_written(value):
    from metarl.learn.train import parse_settings

    assert parse_settings([f"x={setting_text(value)}"]) == {"x": value}
