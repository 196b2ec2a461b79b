"""`metarl perceive render`: a set of pictures on disk, with a table of what is in each."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from metarl.commands.output import progress_bar, say
from metarl.perception.given import SCENES


def render(
    scene: str, *, num: int, out: Path | None, size: int, seed: int, jobs: int | None
) -> int:
    """Render pictures into a folder.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If there is no such scene, the folder exists, or nothing can be drawn here.
    """
    from metarl.names import slug
    from metarl.perception.dataset import LABELS, render_dataset

    base, at, options = scene.partition("@")
    name = f"{SCENES.get(base, base)}{at}{options}"
    place = out or Path("datasets") / f"{slug(scene)}-s{seed}"
    words = [
        "metarl", "perceive", "render", scene, "--num", str(num), "--size", str(size),
        "--seed", str(seed),
    ]  # fmt: skip
    start_s = time.perf_counter()
    with progress_bar("pictures") as progress:
        made = render_dataset(
            name, num, place, seed=seed, size=size, jobs=jobs, command=shlex.join(words),
            progress=progress,
        )  # fmt: skip
    rate = num / (time.perf_counter() - start_s)
    say(f"wrote {place}: {num} pictures, {rate:.0f} a second; sha256 {made.sha256[:16]}")
    targets = ", ".join(f"{place}:{column}" for column in made.columns[:3])
    say(f"metarl perceive swap --data {targets}, ...; what is in each picture: {place / LABELS}")
    return 0
