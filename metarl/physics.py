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


def require_known(name: object) -> None:
    """Check that there is a physics of that name.

    Args:
        name: ``mujoco``, MuJoCo itself on the processor's cores; or ``warp``, mujoco-warp, on a GPU
            where there is one.
    Raises:
        ConfigError: If there is none; lists those there are.
    """
    if name not in PHYSICS:
        raise ConfigError(unknown("physics", str(name), PHYSICS))


def require_physics(name: object) -> None:
    """Check that worlds can be moved so here, before anything slow is loaded.

    Args:
        name: As for `require_known`.
    Raises:
        ConfigError: As `require_known`.
        MissingDependencyError: If its package is not installed.
    """
    require_known(name)
    if name == WARP and not all(map(find_spec, _NEEDS)):
        raise MissingDependencyError(
            f"physics 'warp' needs mujoco-warp, which is not installed: {INSTALL}; or leave it out"
        )
