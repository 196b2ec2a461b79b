"""Every registered family passes every check."""

from importlib.metadata import entry_points

import pytest

from metarl.conformance import check_names, iter_checks
from metarl.registry import GROUP, family_class, family_names, load_plugins, option_names

PACKAGES = {entry.module.partition(".")[0] for entry in entry_points(group=GROUP)}
FAMILIES = [n for n in family_names() if family_class(n).__module__.partition(".")[0] in PACKAGES]

# Every family that takes a robot is checked with each of them, and one in joint space; dishes and
# skills, which are of many and take long, with one more, dishes with a held-out dish as well.
# `benchmarks/conformance.py` checks every one.
LONG = ("kitchen/dishes", "kitchen/skills")
VARIANTS = ["kitchen/dishes@dish=tomato-egg-soup"] + [
    f"{name}@robot={robot}{control}"
    for name in FAMILIES
    if "robot" in option_names(family_class(name))
    for robot, control in (("ur5e", ""), ("gantry", ""), ("panda", ",control=joint"))
    if name not in LONG or robot == "ur5e"
]


def test_registry_has_the_kitchen():
    assert load_plugins() == {}
    assert {"kitchen/season", "kitchen/heat"} <= set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES + VARIANTS)
def test_family_conforms(name):
    results = list(iter_checks(name, num_tasks=24 if name in VARIANTS else 64))
    assert [f"{r.name}: {r.detail}" for r in results if r.failed] == []
    assert [r.detail for r in results if "a world alone is slow" in r.detail] == []
    assert len(results) == len(check_names())
