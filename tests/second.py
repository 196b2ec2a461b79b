"""A second interpreter: of this Python, with NumPy and Gymnasium alone."""

import importlib.metadata
import sys
import venv
from pathlib import Path

PACKAGES = ("numpy", "gymnasium", "cloudpickle", "typing_extensions", "farama_notifications")


def make_interpreter(folder: Path) -> str:
    """Make it in a folder; gives its path."""
    venv.create(folder, symlinks=True, with_pip=False)
    (there,) = folder.glob("lib/python*/site-packages")
    for name in PACKAGES:
        found = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or () if ".." not in file.parts}:
            if not (there / top).exists() and Path(str(found.locate_file(top))).exists():
                (there / top).symlink_to(str(found.locate_file(top)))
    return str(folder / "bin" / Path(sys.executable).name)
