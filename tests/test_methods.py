"""Methods are found by name, from inside and from outside."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from metarl import methods
from metarl.errors import ConfigError, UnknownNameError
from metarl.methods import Method, adaptation_of, get_method, method_names

OURS = ("iterations", "max_seconds", "seed", "hidden", "device", "task_visible")


@pytest.mark.parametrize("name", method_names())
def test_every_method_is_whole(name: str):
    method = get_method(name)
    config = method.config(**method.settings)
    assert set(OURS) <= {f.name for f in dataclasses.fields(config)}
    assert method.doc
    assert config.task_visible == (method.adaptation is None)


UNTIL_THE_FIRST_STEP = """
import sys
from metarl.methods import get_method, method_names
from metarl.registry import make_family
from metarl.sim.worlds import Worlds

class Stepped(Exception):
    pass

def step(self, action):
    raise Stepped

Worlds.step, stepped = step, 0
for name in method_names():
    method = get_method(name)
    try:
        method.trainer(make_family("kitchen/season"), method.config(**method.settings)).iterate()
    except Stepped:
        stepped += 1
    early = {"torch._dynamo", "sympy"} & set(sys.modules)
    assert not early, f"{name} imported {early} before its first step"
assert stepped == len(method_names())
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
    assert adaptation_of({}) is None
    assert adaptation_of({"method": "ppo"}) is None
    assert adaptation_of({"method": "maml"}) is get_method("maml").adaptation


def test_a_method_from_outside_is_an_entry_point(monkeypatch: pytest.MonkeyPatch):
    found = [EntryPoint(n, v, methods.GROUP) for n, v in OUTSIDE.items()]
    monkeypatch.setattr(methods, "entry_points", lambda group: found)
    assert "stranger" in method_names()
    assert get_method("stranger") is STRANGER
    with pytest.raises(ConfigError, match="absent"):
        get_method("broken")
    with pytest.raises(ConfigError, match="no metarl"):
        get_method("wrong")
    assert isinstance(get_method("maml"), Method)  # a broken one hides no healthy one


STRANGER = Method("from outside", int, int)
OUTSIDE = {
    "stranger": f"{__name__}:STRANGER",
    "broken": "absent_package:METHOD",
    "wrong": f"{__name__}:OURS",
}
