"""`metarl new`: a package with a task family that passes every check, to be changed from there."""

from __future__ import annotations

import importlib.util
import keyword
import shutil
import tempfile
from importlib import resources
from pathlib import Path

from metarl.commands.output import say
from metarl.errors import ConfigError, OutputError

_TEMPLATE, _ITS_NAME = "template", "my_package"
_MOST = 60  # characters of a name


def new(name: str, *, out: Path | None) -> int:
    """Write a package: a family, its MJCF file, an expert, a test, an entry point, a README.

    Args:
        name: Of the package, and of its families before the slash.
        out: The folder; None: one of that name here. It must not be there.
    Returns:
        The exit status.
    Raises:
        ConfigError: If no package can have the name, or one has it.
        OutputError: If the folder is there, or cannot be written.
    """
    _require_name(name)
    folder = Path(name) if out is None else out
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder} is there already; choose another name, or another --out")
    for path in _write(name, folder):
        say(f"wrote {path}")
    family = f"{name}:{name}/reach"
    say("next, in that folder:")
    say(f"  metarl check {family}")
    say(f"  metarl watch {family} --policy expert --out expert.mp4")
    say(f"  metarl train {family} --method maml --iterations 20")
    say(f"after pip install -e {folder} it is known everywhere, as {name}/reach")
    return 0


def _require_name(name: str) -> None:
    good = name.isascii() and name.isidentifier() and name == name.lower() and len(name) <= _MOST
    if not good or keyword.iskeyword(name) or name.startswith("_"):
        raise ConfigError(
            f"{name!r} is no name for a package; expected lower-case letters, digits and _, a letter"
            f" first, at most {_MOST} of them, for example my_kitchen"
        )
    if importlib.util.find_spec(name) is not None:
        raise ConfigError(f"Python has a module {name} already; choose another name")


def _write(name: str, folder: Path) -> list[Path]:
    """Write the files, all or none, and tell where they are."""
    template = resources.files("metarl") / _TEMPLATE
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
            made = Path(scratch) / "made"
            with resources.as_file(template) as source:
                shutil.copytree(source, made, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            (made / _ITS_NAME).rename(made / name)
            files = sorted(path for path in made.rglob("*") if path.is_file())
            for path in files:
                path.write_text(path.read_text().replace(_ITS_NAME, name))
            written = [folder / path.relative_to(made) for path in files]
            made.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}") from error
    return written
