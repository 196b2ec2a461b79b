"""A family's name is a robot and a skill."""

from metarl.registry import make_family
from metarl.runs.pairs import Pair, pair_of


def test_what_a_name_does_not_say_is_the_default():
    joint = pair_of(make_family("kitchen/pour@control=joint,robot=ur5e"))
    assert joint == Pair("ur5e", "kitchen/pour@control=joint")
    assert joint.family == "kitchen/pour@robot=ur5e,control=joint"
    assert pair_of(make_family(joint.family)) == joint
    assert pair_of(make_family("kitchen/pour@control=hand")) == Pair("panda", "kitchen/pour")
