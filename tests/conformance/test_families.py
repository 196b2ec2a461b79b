"""Every registered family passes every check."""

from importlib.metadata import entry_points

import pytest

from metarl.conformance import check_names, iter_checks
from metarl.registry import GROUP, family_class, family_names, load_plugins, option_names

PACKAGES = {entry.module.partition(".")[0] for entry in entry_points(group=GROUP)}
FAMILIES = [n for n in family_names() if family_class(n).__module__.partition(".")[0] in PACKAGES]

# Every family that takes a robot is checked with its first one, and with one of these: each in its
# turn, so that many families meet each of them; those that are of many skills and take long, with
# the first. Dishes with a held-out dish as well. `benchmarks/conformance.py` checks every family with
# every robot, control and dish, on more tasks.
CONTROLS = ("robot=ur5e", "robot=gantry", "robot=panda,control=joint")
LONG = ("kitchen/dishes", "kitchen/repertoire", "kitchen/skills")
WITH_ROBOT = [name for name in FAMILIES if "robot" in option_names(family_class(name))]
SHORT = [name for name in WITH_ROBOT if name not in LONG]
VARIANTS = [f"{name}@{CONTROLS[i % len(CONTROLS)]}" for i, name in enumerate(SHORT)]
VARIANTS += [f"{name}@{CONTROLS[0]}" for name in LONG] + ["kitchen/dishes@dish=tomato-egg-soup"]
NUM_TASKS = 20  # an expert may fail in two, chance may succeed in one


def test_registry_has_the_kitchen():
    assert load_plugins() == {}
    assert {"kitchen/season", "kitchen/heat"} <= set(FAMILIES)


def test_every_control_is_met_by_many_families():
    for control in CONTROLS:
        assert sum(name.endswith(f"@{control}") for name in VARIANTS) >= 3


@pytest.mark.parametrize("name", FAMILIES + VARIANTS)
def test_family_conforms(name):
    results = list(iter_checks(name, num_tasks=NUM_TASKS))
    assert [f"{r.name}: {r.detail}" for r in results if r.failed] == []
    assert [r.detail for r in results if "a world alone is slow" in r.detail] == []
    assert len(results) == len(check_names())
