"""Which robot and which skill a family's name means."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from metarl.errors import ConfigError
from metarl.names import full_name, split_name, without_physics

if TYPE_CHECKING:
    from metarl.family import TaskFamily

ROBOT = "robot"  # the option that names the body, and the block of what it alone observes


class Pair(NamedTuple):
    """A robot that does a skill.

    Args:
        robot: As the option names it.
        skill: The family, with its other options in alphabetical order.
    """

    robot: str
    skill: str

    @property
    def family(self) -> str:
        """A name of the family."""
        base, options = split_name(self.skill)
        return full_name(base, {ROBOT: self.robot, **options})


def pair_of(family: TaskFamily[Any]) -> Pair:
    """Part a family into robot and skill; what its name does not say is its class's default.

    Raises:
        ConfigError: If its robot cannot be chosen.
    """
    base, options = split_name(without_physics(family.id))
    parameters = inspect.signature(type(family)).parameters
    if ROBOT not in parameters:
        raise ConfigError(
            f"the robot of {family.id} cannot be chosen; expected families with the option {ROBOT}, as in"
            " kitchen/season@robot=panda,control=joint"
        )
    robot = options.pop(ROBOT, str(parameters[ROBOT].default))
    said = {n: v for n, v in sorted(options.items()) if v != str(parameters[n].default)}
    return Pair(robot, full_name(base, said))
