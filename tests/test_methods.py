"""Methods are found by name, from inside and from outside."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from metarl import methods
from metarl.errors import ConfigError, UnknownNameError
from metarl.methods import (
    Adapting,
    Method,
    adapting_config,
    adapting_of,
    choose_adapting,
    get_adapting,
    get_method,
    get_training,
    method_names,
    strategy_names,
    training_config,
    training_names,
)

OURS = ("iterations", "max_seconds", "seed", "hidden", "device", "task_visible")


@pytest.mark.parametrize("name", method_names())
def test_every_method_is_whole(name: str):
    method = get_method(name)
    assert method.doc
    assert method.source
    assert method.training is not None or method.adapting is not None
    if method.training is not None:
        config = method.training.config(**method.training.settings)
        assert set(OURS) <= {f.name for f in dataclasses.fields(config)}
        assert config.task_visible == (method.adapting is None)
    if method.adapting is not None and method.adapting.config is not None:
        method.adapting.config()  # every field has a default


def test_names_tell_the_two_kinds_apart():
    trained, strategies = training_names(), strategy_names()
    assert sorted([*trained, *strategies]) == method_names()
    assert all(get_method(name).training is not None for name in trained)
    assert all(get_method(name).training is None for name in strategies)
    with pytest.raises(ConfigError, match=r"fine-tune trains nothing.*--strategy.*expected.*ppo"):
        get_training("fine-tune")
    with pytest.raises(ConfigError, match=r"'ppo' has no adaptation of its own.*fine-tune"):
        get_adapting("ppo")


UNTIL_THE_FIRST_STEP = """
import sys
from metarl.methods import get_training, training_names
from metarl.registry import make_family
from metarl.runs.policies import read_checkpoint
from metarl.runs.shipped import shipped
from metarl.runs.trained import part
from metarl.sim.worlds import Worlds

told = part("policy", read_checkpoint(shipped("kitchen/season", "season-ppo")).tensors)

class Stepped(Exception):
    pass

def step(self, action):
    raise Stepped

Worlds.step, stepped = step, 0
for name in training_names():
    method = get_training(name)
    try:
        family = make_family("kitchen/season")
        trained_on = [family] if method.several else family
        initial = {"initial": told} if name == "eyes" else {}
        method.trainer(trained_on, method.config(**method.settings), **initial).iterate()
    except Stepped:
        stepped += 1
    early = {"torch._dynamo", "sympy"} & set(sys.modules)
    assert not early, f"{name} imported {early} before its first step"
assert stepped == len(training_names()) > 10
"""


def test_the_first_step_waits_for_no_compiler():
    done = subprocess.run(
        [sys.executable, "-c", UNTIL_THE_FIRST_STEP], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UnknownNameError, match="maml"):
        get_method("mamll")


def test_a_checkpoint_without_a_method_is_a_plain_policy():
    assert adapting_of({}) is None
    assert adapting_of({"method": "ppo"}) is None
    assert adapting_of({"method": "maml"}) is get_method("maml").adapting


def test_a_checkpoint_adapts_as_it_was_trained_to_unless_asked():
    assert choose_adapting({"method": "maml"}) == "maml"
    assert choose_adapting({"method": "ppo"}) == "fine-tune"
    assert choose_adapting({}) == "fine-tune"
    assert choose_adapting({"method": "maml"}, "fine-tune") == "fine-tune"


def test_a_method_from_outside_is_an_entry_point(monkeypatch: pytest.MonkeyPatch):
    found = [EntryPoint(n, v, methods.GROUP) for n, v in OUTSIDE.items()]
    monkeypatch.setattr(methods, "entry_points", lambda group: found)
    assert "stranger" in method_names()
    assert get_method("stranger") is STRANGER
    assert "stranger" in strategy_names()
    assert "stranger" not in training_names()
    with pytest.raises(ConfigError, match="absent"):
        get_method("broken")
    with pytest.raises(ConfigError, match="no metarl"):
        get_method("wrong")
    assert isinstance(get_method("maml"), Method)  # a broken one hides no healthy one


STRANGER = Method("from outside", adapting=Adapting(int))
OUTSIDE = {
    "stranger": f"{__name__}:STRANGER",
    "broken": "absent_package:METHOD",
    "wrong": f"{__name__}:OURS",
}


@pytest.mark.parametrize("name", training_names())
def test_a_config_is_found_without_what_trains_by_it(name):
    assert training_config(name) is get_training(name).config


def test_configs_load_without_torch():
    code = (
        "import sys\nfrom metarl.methods import training_config, training_names\n"
        "for name in training_names():\n    training_config(name)()\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_settings_of_adapting_load_without_torch():
    code = (
        "import sys; from metarl.methods import adapting_config, strategy_names;"
        "assert all(adapting_config(n) for n in strategy_names()); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", strategy_names())
def test_settings_are_those_that_the_strategy_takes(name: str):
    assert adapting_config(name) is get_adapting(name).config
