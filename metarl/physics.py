"""What may move the worlds of a family, by name."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from metarl.errors import ConfigError, MissingDependencyError, unknown

Physics = Literal["mujoco", "warp"]
MUJOCO, WARP = "mujoco", "warp"
PHYSICS = (MUJOCO, WARP)
OPTION = "physics"  # behind a family's name: kitchen/season@physics=warp

_NEEDS = ("mujoco_warp", "warp")
INSTALL = "pip install 'mujoco-warp>=4,<5'"


def require_physics(name: str) -> None:
    """Check that worlds can be moved so, before anything slow is loaded.

    Args:
        name: ``mujoco``, MuJoCo itself on the processor's cores; or ``warp``, mujoco-warp, on a GPU
            where there is one.
    Raises:
        ConfigError: If there is no such physics; lists those there are.
        MissingDependencyError: If its package is not installed.
    """
    if name not in PHYSICS:
        raise ConfigError(unknown("physics", str(name), PHYSICS))
    if name == WARP and not all(map(find_spec, _NEEDS)):
        raise MissingDependencyError(
            f"physics 'warp' needs mujoco-warp, which is not installed: {INSTALL}; or leave it out"
        )
