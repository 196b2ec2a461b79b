"""What a user says of classes to learn from and to be judged by, checked before torch is loaded."""

from __future__ import annotations

from metarl.errors import ConfigError, unknown
from metarl.perception.given import is_rendered, own_of

INVENTED = "kitchen:ingredients"  # the short name of the scene with classes enough


def require_pool_data(given: str) -> None:
    """Check that there are such pictures, before anything slow is loaded.

    Args:
        given: A folder, a table, ``kitchen:ingredients`` or ``SCENE:class``.
    Raises:
        ConfigError: If there are none.
    """
    target = given.rpartition(":")[2]
    if is_rendered(given):
        if given != INVENTED and target != "class":
            valid = ("class", "ingredients")
            raise ConfigError(f"--data {given}: {unknown('target', target, valid)}")
    elif not own_of(given)[0].exists():
        raise ConfigError(
            f"{given} does not exist; expected a folder with a folder a class, a table FILE.csv with"
            f" a column of classes, or {INVENTED}"
        )
