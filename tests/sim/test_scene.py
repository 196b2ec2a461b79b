"""Models that worlds are made from."""

import pytest

from metarl.errors import SimulationError
from metarl.registry import make_family
from metarl.sim.models import compile_model
from metarl.sim.worlds import Worlds

Point = type(make_family("classic/point-navigation"))


class Sleeps(Point):
    def models(self):
        (spec,) = super().models().values()
        return {
            "point": spec.to_xml().replace(
                "<option ", '<option><flag sleep="enable"/></option><option ', 1
            )
        }


@pytest.mark.parametrize("num_worlds", [1, 16, 17])
def test_sleep_is_refused_for_any_number_of_worlds(num_worlds):
    with pytest.raises(SimulationError, match=r"sleep.*not supported.*remove the flag"):
        Worlds(Sleeps(), num_worlds)


def test_constants_of_a_scene_are_read_only():
    scene, _ = Worlds(Point(), 1).place(0)
    with pytest.raises(ValueError, match="read-only"):
        scene.ctrl_half[:] = 1.0


def test_a_model_without_sleep_compiles():
    assert compile_model("<mujoco/>", "test").nq == 0
