"""Names of families with their options, ``kitchen/add@robot=ur5e,physics=warp``: read and written.

What a name stands for is `metarl.registry`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from metarl.errors import ConfigError
from metarl.physics import MUJOCO, OPTION, require_known


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Part a name from its options: ``kitchen/add@robot=ur5e`` -> ``kitchen/add``, {robot: ur5e}.

    Raises:
        ConfigError: If an option is not ``NAME=VALUE``, is empty, or stands there twice.
    """
    base, at, tail = name.partition("@")
    options: dict[str, str] = {}
    option = ""
    for part in tail.split(",") if at else []:
        if "=" not in part and "/" in options.get(option, ""):
            options[option] += f",{part}"  # a path may hold commas
            continue
        option, _, value = part.partition("=")
        if not option or not value or option in options:
            raise ConfigError(
                f"cannot read {part!r} in {name!r}; expected {base}@NAME=VALUE,NAME=VALUE, each once"
            )
        options[option] = value
    return base, options


def full_name(base: str, options: Mapping[str, object]) -> str:
    """Join what `split_name` parts."""
    tail = ",".join(f"{name}={value}" for name, value in options.items())
    return f"{base}@{tail}" if tail else base


def with_physics(name: str, physics: str | None) -> str:
    """Give a family's name the physics that is to move its worlds.

    Args:
        name: The name, perhaps with options.
        physics: One of `metarl.physics.PHYSICS`; None: as the name says.
    Raises:
        ConfigError: If there is no such physics, or the name says another one.
    """
    base, options = split_name(name)
    said = options.pop(OPTION, None)
    if physics is None:
        physics = MUJOCO if said is None else said
    elif said not in (None, physics):
        raise ConfigError(f"physics {physics} contradicts {name!r}; give one of them")
    require_known(physics)
    return full_name(base, options if physics == MUJOCO else {**options, OPTION: physics})


def without_physics(name: str) -> str:
    """A family's name, whatever moves its worlds: what was trained on one runs on the other.

    What is no single name, as a checkpoint of several families has it, is given back.
    """
    try:
        base, options = split_name(name)
    except ConfigError:
        return name
    options.pop(OPTION, None)
    return full_name(base, options)


def says_physics(name: str) -> bool:
    """Whether a family's name says what moves its worlds."""
    return OPTION in split_name(name)[1]


def physics_of(name: str) -> str:
    """What moves the worlds of a family of that name."""
    return split_name(name)[1].get(OPTION, MUJOCO)


def slug(name: str) -> str:
    """Turn a family's name into a file's: ``kitchen/add@robot=ur5e`` -> ``kitchen-add-robot-ur5e``."""
    base, options = split_name(name)
    parts = [base.rpartition(":")[2], *(x for pair in options.items() for x in pair)]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-")
