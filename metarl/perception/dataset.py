"""A set of rendered pictures on disk: files, a table of what is in each, and what made them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metarl.errors import ConfigError
from metarl.perception.given import CLASS, LABELS
from metarl.perception.own import FILE
from metarl.perception.pictures import (
    Progress,
    Studio,
    get_scene,
    measures_of,
    require_positive,
    require_valid_rows,
)
from metarl.runs.config import made_with
from metarl.runs.files import output_error, write_whole
from metarl.streams import derive_seed
from metarl.types import take

ABOUT, FOLDER = "dataset.json", "pictures"
FORMAT = 1
_SHARE = 32  # pictures that a process is given at once
Share = tuple[Path, int, Any]  # where files go, the number of the first, and rows


@dataclass(frozen=True)
class Dataset:
    """What was written.

    Attributes:
        folder: Where.
        num_pictures: How many.
        columns: What is known of each picture, as in the table's first line.
        sha256: Of all pixels and of the table, in order; the same command gives the same.
    """

    folder: Path
    num_pictures: int
    columns: tuple[str, ...]
    sha256: str


def render_dataset(
    name: str,
    n: int,
    folder: Path | str,
    *,
    seed: int = 0,
    size: int = 84,
    jobs: int | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> Dataset:
    """Render pictures of a scene into a folder, once; nothing is left of one that does not end.

    The folder gets ``pictures/``, the table ``labels.csv`` (the file, the class, and every number that
    the scene knows of it), and ``dataset.json``: what made it, and a hash.

    Args:
        name: Of the scene, as for `metarl.perception.pictures.get_scene`.
        n: How many pictures.
        folder: The folder; there is none yet.
        seed: Decides everything in the pictures.
        size: Width and height [pixels].
        jobs: Processes; None: one a core. They change no result.
        command: The command line that asks for it.
        progress: Called with (pictures done, pictures).
    Raises:
        ConfigError: If there is something at that place, or a number is none.
        UnknownNameError: If there is no such scene or option.
        FamilyError: If the scene samples what it must not.
        RenderError: If there is no way to draw here.
    """
    require_positive(n=n, size=size)
    jobs = jobs or len(os.sched_getaffinity(0))
    require_positive(jobs=jobs)
    folder = Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder} exists; a set of pictures is written once: give another --out")
    scene = get_scene(name)
    rows = scene.sample(np.random.default_rng(derive_seed(seed, "perceive/render")), n)
    require_valid_rows(scene, rows, n)
    measures = measures_of(scene, rows, n)
    files = [f"{FOLDER}/{i:06d}.png" for i in range(n)]
    classes = [scene.classes[i] for i in rows.label]
    table = _table({FILE: files, CLASS: classes, **measures})
    unfinished = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        try:
            (unfinished / FOLDER).mkdir(parents=True)
            digest = hashlib.sha256()
            starts = range(0, n, _SHARE)
            shares = [(unfinished, i, take(rows, np.arange(i, min(i + _SHARE, n)))) for i in starts]
            for i, part in zip(starts, _hashes(name, shares, size, jobs)):
                digest.update(part)
                if progress is not None:
                    progress(min(i + _SHARE, n), n)
            digest.update(table)
            write_whole(unfinished / LABELS, table)
            about = {
                "format": FORMAT, "scene": name, "num_pictures": n, "size": size, "seed": seed,
                "classes": list(scene.classes), "columns": [CLASS, *measures],
                "sha256": digest.hexdigest(), **made_with(command),
            }  # fmt: skip
            write_whole(unfinished / ABOUT, (json.dumps(about, indent=1) + "\n").encode())
            unfinished.rename(folder)
        except OSError as error:
            raise output_error(folder, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Dataset(folder, n, (CLASS, *measures), digest.hexdigest())


def _table(columns: dict[str, Any]) -> bytes:
    """Write a CSV; numbers as short as single precision allows."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(str, values) for values in columns.values())))
    return file.getvalue().encode()


def _hashes(name: str, shares: Sequence[Share], size: int, jobs: int) -> Iterator[bytes]:
    """Draw everything, a share after the other; gives hashes of their pixels, in order."""
    if min(jobs, len(shares)) == 1:
        with Studio(get_scene(name), size) as studio:
            yield from (_draw(studio, share) for share in shares)
        return
    pool = ProcessPoolExecutor(
        min(jobs, len(shares)),
        mp_context=multiprocessing.get_context("spawn"),  # a forked process cannot draw
        initializer=_open,
        initargs=(name, size),
    )
    try:
        yield from pool.map(_draw_here, shares)
    finally:
        pool.shutdown(cancel_futures=True)


def _draw(studio: Studio, share: Share) -> bytes:
    """Draw some pictures and write them; gives a hash of their pixels."""
    from PIL import Image

    folder, start, rows = share
    digest = hashlib.sha256()
    for i in range(len(rows.label)):
        pixels = studio.shoot(take(rows, np.asarray(i)))
        digest.update(pixels.tobytes())
        Image.fromarray(pixels).save(folder / FOLDER / f"{start + i:06d}.png", compress_level=1)
    return digest.digest()


# In a process that draws -------------------------------------------------------------------

_studio: Studio | None = None


def _open(name: str, size: int) -> None:
    """Compile the scene, once a process."""
    global _studio
    _studio = Studio(get_scene(name), size)


def _draw_here(share: Share) -> bytes:
    assert _studio is not None
    return _draw(_studio, share)
