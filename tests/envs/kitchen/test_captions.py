"""What films of single skills say: the numbers by which success is judged."""

from __future__ import annotations

import re

import numpy as np
import pytest

from metarl.registry import make_family
from metarl.sim.worlds import Worlds

# What each must name; the first number that changes while the expert works comes first.
SAYS = {
    "season": r"salt [\d.]+ of [\d.]+ g",
    "pour": r"\d+ of \d+ ml",
    "soak": r"first side soaked \d+%",
    "sprinkle": r"sugar [\d.]+ of [\d.]+ g",
    "heat": r"knob at -?\d+° of \d+° wanted",
    "add": r"(cube|slice|ball) of \d+ g: (in the pan|\d+ cm to go)",
    "stir": r"moved at \d+, \d+, \d+ of \d+ cm/s wanted  ·  browned \d+%",
    "flip": r"first side \d+% of golden(  ·  turned over)?",
    "cover": r"lid \d+ mm from the middle.*camera is off by \d+ mm",
    "serve": r"(fillet|patty|dumpling) \d+ mm from its spot  ·  felt \d+ N, (stands|broke at) \d+ N",
}


@pytest.mark.parametrize("skill", SAYS)
def test_a_skill_says_what_matters(skill):
    worlds = Worlds(make_family(f"kitchen/{skill}"), 4, seed=3)
    worlds.reset()
    before = [worlds.caption(i) for i in range(4)]
    step = None
    while not worlds.done.all():
        step = worlds.step(worlds.expert())
    after = [worlds.caption(i) for i in range(4)]
    for told in (*before, *after):
        assert re.match(SAYS[skill], told), told
    assert step.success.any()
    assert all(a != b for a, b in zip(before, after))


def test_what_is_said_is_what_is_judged():
    worlds = Worlds(make_family("kitchen/season"), 1, seed=3)
    worlds.reset()
    wanted = float(worlds.task.wanted_g[0])
    assert worlds.caption(0) == f"salt 0.0 of {wanted:.1f} g"
    worlds.place(0)[0].userdata[:, -3:-1] = [wanted, 0.5]
    assert worlds.caption(0) == f"salt {wanted:.1f} of {wanted:.1f} g  ·  0.5 g beside it"


def test_skills_say_which_skill_and_what_it_says():
    worlds = Worlds(make_family("kitchen/skills"), 12, seed=0)
    worlds.reset()
    told = [worlds.caption(i) for i in range(12)]
    assert len({text.partition(":")[0] for text in told}) > 2
    for text in told:
        skill, _, says = text.partition(": ")
        assert re.match(SAYS[skill], says), text
    assert np.isfinite(worlds.obs).all()
