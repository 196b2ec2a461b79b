"""What stands in every table, whether or not the file names it: baselines and a control."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from metarl.benchmark.design import Arm
from metarl.methods import SCRATCH, TAUGHT, USUAL_STRATEGY

CONTROL = "control"


def with_beside(arms: Sequence[Arm], seeds: tuple[int, ...], without: Sequence[str]) -> list[Arm]:
    """Put scratch, fine-tuning and a control beside arms that lack them; of what is taught, the taught.

    Args:
        arms: Of a table.
        seeds: Of its trainings.
        without: What the file leaves out.
    Returns:
        All of them: what is added first, and a control behind what it repeats.
    """
    found = list(arms)
    forms = ["", TAUGHT] if any(arm.method.endswith(TAUGHT) for arm in arms) else [""]
    for form in forms:
        for strategy in (SCRATCH, USUAL_STRATEGY):
            if strategy not in without and not _from_start(strategy + form, found):
                found.append(_added(strategy + form, seeds, found))
        mine = [a for a in found if not a.repeats and a.method.endswith(TAUGHT) == bool(form)]
        controlled = any(a.repeats and a.method.endswith(TAUGHT) == bool(form) for a in found)
        if CONTROL not in without and not controlled and mine:
            twin = next(iter(_from_start(USUAL_STRATEGY + form, found)), mine[0])
            name = _free(CONTROL + form, found)
            found.append(dataclasses.replace(twin, name=name, repeats=twin.name, added=True))
    return sorted(found, key=lambda arm: _rank(arm, found))


def _from_start(strategy: str, arms: Sequence[Arm]) -> list[Arm]:
    """The arms that meet the tasks by a strategy, from what their table starts from."""
    return [a for a in arms if a.method == strategy and not a.repeats and not a.checkpoint]


def _added(strategy: str, seeds: tuple[int, ...], arms: Sequence[Arm]) -> Arm:
    return Arm(name=_free(strategy, arms), method=strategy, seeds=seeds, added=True)


def _free(name: str, arms: Sequence[Arm]) -> str:
    """A name that no arm has: someone may call another method so."""
    taken = {arm.name for arm in arms}
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in taken)


def _rank(arm: Arm, arms: Sequence[Arm]) -> tuple[int, int, int]:
    """What is added first, and a control behind what it repeats."""
    names = [one.name for one in arms]
    own = arms[names.index(arm.repeats)] if arm.repeats else arm
    return (0 if own.added else 1, names.index(own.name), bool(arm.repeats))
