"""One picture of everything that a scene can show."""

from __future__ import annotations

import dataclasses

import numpy as np

from metarl.perception.pictures import PictureScene, Studio
from metarl.types import take


def contact_sheet(
    scene: PictureScene, *, columns: int = 8, size: int = 96, seed: int = 0
) -> np.ndarray:
    """Draw every class in a row of its own, raw on the left and burnt on the right.

    Args:
        scene: What to photograph.
        columns: Pictures a class.
        size: Width and height of each [pixels].
        seed: Decides pose, light and camera.
    Returns:
        Shape (classes * size, columns * size, 3), uint8.
    Raises:
        RenderError: If there is no way to draw here.
    """
    num_classes = len(scene.classes)
    rows = dataclasses.replace(
        scene.sample(np.random.default_rng(seed), num_classes * columns),
        label=np.repeat(np.arange(num_classes), columns),
        doneness=np.tile(np.linspace(0.0, 1.0, columns), num_classes),
    )
    sheet = np.empty((num_classes, size, columns, size, 3), np.uint8)
    with Studio(scene, size) as studio:
        for i in range(num_classes * columns):
            place = sheet[i // columns, :, i % columns]
            place[:] = studio.shoot(take(rows, np.asarray(i)))
    return sheet.reshape(num_classes * size, columns * size, 3)
