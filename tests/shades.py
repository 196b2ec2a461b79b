"""Folders of pictures whose class is how light they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SHADES = {"dark": 60, "light": 190}


def shaded(root: Path, each: int, ending: str, shape: tuple[int, int] = (20, 20)) -> Path:
    """Write so many pictures of each class into a folder of its name, the same every time."""
    rng = np.random.default_rng(0)
    for name, shade in SHADES.items():
        (root / name).mkdir()
        for i in range(each):
            pixels = np.clip(shade + rng.normal(0, 30, (*shape, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.{ending}")
    return root
