"""`metarl perceive advise`: which trunk will serve, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from metarl.commands.output import answer, cell, make_console, make_table, say
from metarl.errors import ConfigError
from metarl.perception.given import require_data, usual_size

if TYPE_CHECKING:
    from metarl.advise.trunks import TrunkScore
    from metarl.perception.data import Data

FEWEST = 20  # pictures, below which a score says little


def advise(
    *, data: str, trunks: Sequence[str], size: int | None, num_pictures: int | None, seed: int
) -> int:
    """Score trunks on labelled pictures, and say which to take.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, a file does not fit, or pictures cannot be read.
    """
    require_data(data, None)
    asked = [_parted(each) for each in dict.fromkeys(trunks)]
    if not asked:
        raise ConfigError("--trunks is empty; expected names of backbones, or NAME=WEIGHTS_FILE")
    from metarl.advise.trunks import ranked, score_trunk
    from metarl.perception.data import load_data

    loaded = dict[int, "Data"]()
    found = list["TrunkScore"]()
    for name, weights in asked:
        pixels = size or usual_size(name)
        if pixels not in loaded:
            loaded[pixels] = load_data(
                data, test=None, size=pixels, seed=seed, num_pictures=num_pictures, held_out=0.2
            )
        found.append(score_trunk(loaded[pixels], name, weights=weights, seed=seed))
        say(f"{name}: {found[-1].trunk}, {found[-1].seconds:.1f} s")
    best = ranked(found)
    count = len(next(iter(loaded.values())).train)
    _show(best)
    rows = [{**asdict(one), "gain": one.gain, "verdict": one.verdict} for one in best]
    answer({"data": data, "pictures": count, "trunks": rows})
    for line in _lines(best, data, count):
        say(line)
    return 0


def _parted(given: str) -> tuple[str, Path | None]:
    """Part ``NAME`` or ``NAME=WEIGHTS_FILE``."""
    name, equals, file = given.partition("=")
    if not name or (equals and not file):
        raise ConfigError(f"--trunks has {given!r}; expected NAME, or NAME=WEIGHTS_FILE")
    return name, Path(file) if equals else None


def _lines(best: Sequence[TrunkScore], data: str, count: int) -> list[str]:
    """What to do, and what is not sure."""
    from metarl.advise.trunks import MISLEADS, SERVES

    lines = [
        f"{one.backbone} ({one.trunk}) errs more than features that nobody trained: it would mislead"
        for one in best
        if one.verdict == MISLEADS
    ]
    lines += [
        f"{one.backbone} ({one.trunk}) is not sure to err less than features that nobody trained"
        for one in best
        if one.verdict not in (MISLEADS, SERVES)
    ]
    if count < FEWEST:
        lines.append(f"{count} pictures say little; give {FEWEST} or more")
    serve = [one for one in best if one.verdict == SERVES]
    if not serve:
        return [*lines, f"no trunk serves: metarl perceive swap --data {data} --strategy scratch"]
    name = serve[0].backbone
    return [*lines, f"take {name}: metarl perceive swap --data {data} --backbone {name}"]


def _show(best: Sequence[TrunkScore]) -> None:
    table = make_table("rank", "trunk", "weights", "LogME", "error", "untrained", "verdict")
    for place, one in enumerate(best, start=1):
        numbers = [f"{one.score:+.3f}", f"{one.error:.3f}", f"{one.untrained_error:.3f}"]
        words = (str(place), one.backbone, one.trunk, *numbers, one.verdict)
        table.add_row(*map(cell, words))
    make_console().print(table)
