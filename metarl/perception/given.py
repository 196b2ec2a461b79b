"""What a user says of pictures, checked before anything slow is loaded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from metarl.errors import ConfigError, unknown
from metarl.methods import rules_of

SCENES = {"kitchen": "kitchen/ingredients"}  # short names
CLASS = "class"
LABELS = "labels.csv"  # the table in a folder that was rendered
TABLES = (".csv", ".parquet")
SMALL_CNN = "small-cnn"  # the backbone that is ours
_EXPECTED = (
    "expected a folder with a folder a class, a table FILE.csv, a table and its columns"
    " FILE.csv:COLUMN[,COLUMN...], or what is rendered: kitchen:doneness, kitchen:class"
)


def is_rendered(given: str) -> bool:
    """Whether pictures are to be rendered: ``SCENE:TARGET``, and neither a file nor a table's column."""
    return ":" in given and not Path(given).exists() and _table(given) is None


def scene_of(given: str) -> tuple[str, tuple[str, ...]]:
    """Part what is rendered into the scene's whole name and its targets.

    Args:
        given: ``SCENE:TARGET[,TARGET...]``; a scene may have options, and a short name.
    """
    name, _, target = given.rpartition(":")
    base, at, options = name.partition("@")
    return f"{SCENES.get(base, base)}{at}{options}", tuple(target.split(","))


def own_of(given: str) -> tuple[Path, tuple[str, ...] | None]:
    """Part a person's pictures into folder or table, and the columns that are asked for, if any are."""
    found = _table(given)
    if found is not None:
        return found
    path = Path(given)
    return (path / LABELS if (path / LABELS).is_file() else path), None


def _table(given: str) -> tuple[Path, tuple[str, ...]] | None:
    """A table and its columns, where ``TABLE:COLUMN[,COLUMN...]`` is given, or its folder in its place."""
    before, colon, columns = given.rpartition(":")
    if not colon or not before or Path(given).exists():
        return None
    path = Path(before)
    path = path / LABELS if path.is_dir() else path
    is_one = path.suffix.lower() in TABLES and path.is_file()
    return (path, tuple(columns.split(","))) if is_one else None


def require_data(given: str, test: str | None) -> None:
    """Check that there are such pictures; a scene's targets are checked when it is there.

    Args:
        given: A folder, a table, a table and columns, or ``SCENE:TARGET[,TARGET...]``.
        test: Pictures to judge by, likewise; None: none.
    Raises:
        ConfigError: If there are none.
    """
    for each in (given, test):
        if each is None or is_rendered(each):
            continue
        path = own_of(each)[0]
        if not path.exists():
            raise ConfigError(f"{path} does not exist; {_EXPECTED}")


def require_targets(scene: str, targets: Sequence[str], measures: Collection[str]) -> None:
    """Check what a scene is asked for.

    Args:
        scene: Its name.
        targets: ``class`` alone, or some of the measures, each once.
        measures: The numbers that it can be asked for.
    Raises:
        ConfigError: If it cannot.
    """
    for target in targets:
        if target not in (CLASS, *measures):
            raise ConfigError(f"{scene}: {unknown('target', target, (CLASS, *measures))}")
    if len(targets) > 1 and (CLASS in targets or len(set(targets)) < len(targets)):
        raise ConfigError(
            f"{scene} is asked for {','.join(targets)}; expected {CLASS} alone, or different numbers"
        )


def usual_size(backbone: str) -> int:
    """Width and height of pictures where nobody says [pixels]."""
    return 64 if backbone == SMALL_CNN else 128


def usual_rate(backbone: str, strategy: str) -> float:
    """Adam's learning rate where nobody says.

    A borrowed trunk that learns on from where it is does so with the statistics of its batch norms
    standing: nothing brings what a step has blown up or cut off back to scale.

    Args:
        backbone: One of `metarl.perception.backbones.BACKBONES`, or a model of timm.
        strategy: One of `metarl.methods.rule_names`.
    Raises:
        UnknownNameError: If there is no such strategy; the message lists the valid ones.
    """
    rules = rules_of(strategy)()
    if backbone == SMALL_CNN:
        return 3e-3
    learns = bool(rules.turns) or rules.rate(1, 0.0) > 0.0  # the trunk, now or later
    return 3e-4 if learns and rules.start == "source" else 1e-3
