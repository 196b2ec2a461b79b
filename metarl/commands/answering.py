"""`metarl perceive predict` and `embed`: pictures of the user's, looked at by what was trained."""

from __future__ import annotations

import json as json_lines
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.commands.output import cell, make_console, make_table, progress_bar, say
from metarl.errors import CheckpointError, ConfigError, printable
from metarl.perception.given import SMALL_CNN, usual_size
from metarl.runs.files import check_output, free_name, output_error, write_whole

if TYPE_CHECKING:
    import numpy as np

SHEET = 60  # pictures of a contact sheet, at most
_SHOWN = 5


def predict(
    model: Path, pictures: Sequence[Path], *, json: bool, out: Path | None, overwrite: bool
) -> int:
    """Answer pictures by a run's network.

    Returns:
        The exit status: 1 if some could not be read.
    Raises:
        MetaRLError: If there is no such run, none of the pictures can be read, or the sheet cannot be
            written.
    """
    place = _place(out, "answers.png", overwrite)
    files = _files(pictures)
    if not model.exists():
        raise CheckpointError(f"no run {model}; expected a folder of metarl perceive swap")
    from metarl.perception.album import album_png
    from metarl.perception.model import load_model, words_of

    found = load_model(model)
    names, pixels, bad = _read(files, found.size)
    answers = found.answer(names, pixels)
    asked = found.question.names
    if json:
        for row in [*answers, *({"file": name, "error": why} for name, why in bad)]:
            print(json_lines.dumps(row))
    else:
        _table(answers, asked)
    words = [[words_of(row, asked), row["file"]] for row in answers[:SHEET]]
    _write(place, album_png(pixels[:SHEET], words))
    more = f" (the first {SHEET} of {len(answers)})" if len(answers) > SHEET else ""
    print(f"wrote {place}{more}", file=sys.stderr)
    return _tell(bad)


def embed(
    pictures: Sequence[Path],
    *,
    model: Path | None,
    backbone: str,
    weights: Path | None,
    size: int | None,
    out: Path | None,
    overwrite: bool,
) -> int:
    """Write features of pictures.

    Returns:
        The exit status: 1 if some could not be read.
    Raises:
        MetaRLError: If there is no such trunk, none of the pictures can be read, or the file cannot be
            written.
    """
    if model is not None and (backbone != SMALL_CNN or weights is not None):
        raise ConfigError("--run brings its own trunk; leave out --backbone and --weights")
    place = _place(out, "features.npz", overwrite)
    files = _files(pictures)
    import io

    import numpy as np
    import torch

    from metarl.perception.backbones import trained_backbone
    from metarl.perception.fitting import look
    from metarl.perception.model import load_model

    if model is not None:
        loaded = load_model(model)
        network, words, usual = loaded.network, str(model), loaded.size
    else:
        generator = torch.Generator().manual_seed(0)
        network, origin = trained_backbone(backbone, 1, generator, weights=weights)
        words, usual = origin.said(), usual_size(backbone)
    names, pixels, bad = _read(files, size or usual)
    features = look(network.trunk, torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous())
    file = io.BytesIO()
    np.savez(file, features=features.numpy(), files=np.array(names), trunk=np.array(words))
    _write(place, file.getvalue())
    say(f"wrote {place}: features {tuple(features.shape)} of {words}")
    return _tell(bad)


def _place(out: Path | None, usual: str, overwrite: bool) -> Path:
    place = free_name(Path(usual)) if out is None else out
    return check_output(place, (Path(usual).suffix,), overwrite=overwrite)


def _files(pictures: Sequence[Path]) -> list[tuple[str, Path]]:
    """List files, and those in folders; whether they are pictures is seen when they are read."""
    from metarl.perception.own import files_in
    from metarl.perception.photos import ENDINGS

    found = list[Path]()
    for path in pictures:
        inside = files_in(path) if path.is_dir() else [path]
        found += [p for p in inside if not path.is_dir() or p.suffix.lower() in ENDINGS]
    if not found:
        where = ", ".join(map(os.fspath, pictures)) or "nothing"
        raise ConfigError(f"{where} holds no {', '.join(ENDINGS)}; expected pictures")
    return [(str(path), path) for path in found]


def _read(
    files: Sequence[tuple[str, Path]], size: int
) -> tuple[list[str], np.ndarray, list[tuple[str, str]]]:
    import numpy as np

    from metarl.machine import require_memory
    from metarl.perception.photos import BadPicture, read_picture

    require_memory(len(files) * size * size * 3, f"{len(files)} pictures")
    names, pixels, bad = list[str](), list[Any](), list[tuple[str, str]]()
    with progress_bar("pictures") as progress:
        for done, (name, path) in enumerate(files, start=1):
            try:
                pixels.append(read_picture(path, size)[0])
                names.append(name)
            except BadPicture as error:
                bad.append((name, str(error)))
            progress(done, len(files))
    if not names:
        raise ConfigError(f"no picture can be read; {bad[0][0]} {bad[0][1]}")
    return names, np.stack(pixels), bad


def _table(answers: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    if "confidence" in answers[0]:
        table = make_table("file", "answer", "confidence")
        for row in answers:
            table.add_row(cell(row["file"]), cell(row["answer"]), f"{row['confidence']:.1%}")
    else:
        table = make_table("file", *map(cell, names))
        for row in answers:
            widths = row["interval"] or [None] * len(names)
            table.add_row(cell(row["file"]), *map(_number, row["answer"], widths))
    make_console().print(table)


def _number(answer: float, width: float | None) -> str:
    return f"{answer:.4g}" if width is None else f"{answer:.4g} ± {width:.2g}"


def _write(place: Path, data: bytes) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, data)
    except OSError as error:
        raise output_error(place, error) from error


def _tell(bad: Sequence[tuple[str, str]]) -> int:
    """Say what could not be read."""
    if not bad:
        return 0
    shown = "; ".join(f"{name} {why}" for name, why in bad[:_SHOWN])
    more = "; ..." if len(bad) > _SHOWN else ""
    print(f"metarl: {len(bad)} left out: {printable(shown)}{more}", file=sys.stderr)
    return 1
