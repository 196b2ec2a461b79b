"""Names of physics, and of families that they move."""

import sys

import pytest

from metarl.errors import ConfigError, MissingDependencyError, UnknownNameError
from metarl.names import physics_of, says_physics, slug, with_physics, without_physics
from metarl.physics import PHYSICS, require_known, require_physics
from metarl.registry import family_class, make_family


def test_an_unknown_one_lists_those_there_are():
    for name in PHYSICS:
        require_known(name)
    with pytest.raises(ConfigError, match=r"unknown physics 'wrap'; did you mean 'warp'\?"):
        require_physics("wrap")
    with pytest.raises(ConfigError, match="unknown physics 'wrap'"):
        family_class("toy/reach@physics=wrap")


def test_without_its_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    require_known("warp")
    with pytest.raises(MissingDependencyError, match=r"pip install 'mujoco-warp>=4,<5'"):
        make_family("toy/reach", physics="warp")
    assert make_family("toy/reach", physics="mujoco").physics == "mujoco"


@pytest.mark.parametrize(
    ("name", "physics", "whole"),
    [
        ("a/b", None, "a/b"),
        ("a/b", "mujoco", "a/b"),
        ("a/b", "warp", "a/b@physics=warp"),
        ("a/b@physics=warp", None, "a/b@physics=warp"),
        ("a/b@physics=mujoco", None, "a/b"),
        ("a/b@physics=warp,robot=ur5e", "warp", "a/b@robot=ur5e,physics=warp"),
    ],
)
def test_a_name_is_given_one(name, physics, whole):
    assert with_physics(name, physics) == whole
    assert without_physics(whole) == whole.replace(",physics=warp", "").replace("@physics=warp", "")
    assert physics_of(whole) == ("warp" if "warp" in whole else "mujoco")


def test_two_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="physics mujoco contradicts 'a/b@physics=warp'"):
        with_physics("a/b@physics=warp", "mujoco")


def test_what_is_no_single_name_is_given_back():
    assert without_physics("a/b@robot=x, a/c") == "a/b@robot=x, a/c"


def test_it_is_said_or_not():
    assert says_physics("a/b@physics=mujoco")
    assert not says_physics("a/b@robot=panda")


def test_a_family_has_it_in_its_name():
    pytest.importorskip("mujoco_warp")
    family = make_family("kitchen/add@physics=warp,robot=ur5e")
    assert family.physics == "warp"
    assert family.id == "kitchen/add@robot=ur5e,physics=warp"
    assert slug(family.id) == "kitchen-add-robot-ur5e-physics-warp"
    assert make_family("kitchen/add@physics=mujoco").id == "kitchen/add"


def test_every_family_takes_it_and_says_so():
    with pytest.raises(UnknownNameError, match=r"valid: control, .*physics"):
        family_class("kitchen/add@physic=warp")
