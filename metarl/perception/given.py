"""What a user says of pictures, checked before anything slow is loaded."""

from __future__ import annotations

from pathlib import Path

from metarl.errors import ConfigError, unknown

SCENES = {"kitchen": "kitchen/ingredients"}  # short names
TARGETS = ("class", "doneness")  # of a rendered scene
SMALL_CNN = "small-cnn"  # the backbone that is ours


def is_rendered(given: str) -> bool:
    """Whether pictures are to be rendered: ``SCENE:TARGET``, and no file of that name."""
    return ":" in given and not Path(given).exists()


def require_data(given: str, test: str | None) -> None:
    """Check that there are such pictures.

    Args:
        given: A folder, a table, or ``SCENE:TARGET``.
        test: A folder or a table to judge by; None: none.
    Raises:
        ConfigError: If there are none, or a test is given for what is rendered.
    """
    if is_rendered(given):
        target = given.rpartition(":")[2]
        if target not in TARGETS:
            raise ConfigError(f"--data {given}: {unknown('target', target, TARGETS)}")
        if test is not None:
            raise ConfigError(f"--test has no effect with {given}, which renders its own")
        return
    for path in (given, test):
        if path is not None and not Path(path).exists():
            raise ConfigError(
                f"{path} does not exist; expected a folder with a folder a class, a table FILE.csv,"
                f" or {', '.join(f'kitchen:{target}' for target in TARGETS)}"
            )


def usual_size(backbone: str) -> int:
    """Width and height of pictures where nobody says [pixels]."""
    return 64 if backbone == SMALL_CNN else 128


def usual_rate(backbone: str) -> float:
    """Adam's learning rate where nobody says: what was trained at length moves less."""
    return 3e-3 if backbone == SMALL_CNN else 1e-3
