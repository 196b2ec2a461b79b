"""What a checkpoint of several families is to one of them: a plain policy, as any other's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metarl.errors import CheckpointError, ConfigError
from metarl.physics import MUJOCO
from metarl.names import split_name, without_physics
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.fingerprint import FINGERPRINT
from metarl.runs.reading import is_count
from metarl.runs.trained import join, part
from metarl.types import Spec

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.nn.views import Part, View
    from metarl.runs.pairs import Pair

TASKS = "tasks"  # in a checkpoint's meta: what is known of each family
TRUNK = "trunk"  # and what other families can start from
HEADLESS = "headless"  # in the meta of a policy without a head of its own: why
COLUMNS = "columns"  # names of its columns, by block
TAKEN = "taken"  # in the meta of what was taken: of what, in words
PAIR = "pair"  # of a task: robot and skill, where policies are made of parts
_TASK = "task"
_KEPT = ("method", "steps", "seconds", "made-with", "metrics")


def describe_task(family: str, spec: Spec, view: View, *, trained: bool = True) -> dict[str, Any]:
    """Write down, as JSON values, what a checkpoint of several families knows of one.

    Args:
        family: Its name.
        spec: Of its worlds.
        view: What its plain policy consists of.
        trained: Whether it was trained on it, and not put together of what was trained on others.
    """
    return {
        "family": family,
        "blocks": dict(spec.blocks),
        "action_dim": spec.action_dim,
        "view": _as_json(view),
        "trained": trained,
    }


def describe_trunk(columns: Sequence[tuple[str, str, str]], view: View) -> dict[str, Any]:
    """Write down what other families can start from.

    Args:
        columns: What each column of the trunk is: its block, whose it is, its name.
        view: What the trunk consists of.
    """
    return {"columns": [list(column) for column in columns], "view": _as_json(view)}


def require_one(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint is a plain policy's.

    Raises:
        CheckpointError: If it is of several families; names them.
    """
    if TASKS in checkpoint.meta:
        names = ", ".join(task["family"] for task in _tasks(checkpoint))
        raise CheckpointError(
            f"this checkpoint is of several families, {names}; take one of them out of it by"
            " metarl.runs.several.of_family"
        )


def of_family(checkpoint: Checkpoint, family: TaskFamily[Any]) -> Checkpoint:
    """Take what a checkpoint of several families is to one of them.

    A family that it knows has its own columns and head. One that it knows with other options has those
    of the first of these. Any other has the shared trunk, as far as it observes the same, and no head:
    `metarl.sources.carry` draws one.

    Args:
        checkpoint: Of several families; any other is given back.
        family: Which.
    Returns:
        A plain policy's checkpoint, which says in words what was taken.
    Raises:
        CheckpointError: If it does not hold what it says, or knows no such family and has no trunk.
    """
    if TASKS not in checkpoint.meta:
        return checkpoint
    tasks = _tasks(checkpoint)
    if PAIR in tasks[0]:
        return _of_pair(checkpoint, tasks, family)
    name = without_physics(family.id)
    known = [task for task in tasks if without_physics(task["family"]) == name]
    kin = [t for t in tasks if split_name(t["family"])[0] == split_name(family.id)[0]]
    names = ", ".join(task["family"] for task in tasks)
    if known or kin:
        task = (known or kin)[0]
        never = "" if task.get("trained", True) else ", which it never met, of parts of others"
        taken = f"of {len(tasks)} families the columns and the head of {task['family']}{never}"
        return _plain(checkpoint, task, task["view"], taken)
    if TRUNK not in checkpoint.meta:
        raise CheckpointError(f"this checkpoint knows {names}, not {family.id}")
    return _without_head(checkpoint, tasks, family, names)


def _of_pair(checkpoint: Checkpoint, tasks: Sequence[Any], family: TaskFamily[Any]) -> Checkpoint:
    """A robot's encoder and decoder around a skill's core."""
    from metarl.runs.pairs import pair_of

    try:
        wanted = pair_of(family)
    except ConfigError:  # it has no robot that could be chosen
        wanted = None
    found = [task for task in tasks if wanted is not None and task.get(PAIR) == list(wanted)]
    if not found:
        try:
            robots, skills = (", ".join(dict.fromkeys(t[PAIR][i] for t in tasks)) for i in (0, 1))
        except (LookupError, TypeError) as error:
            raise _malformed(error) from error
        raise CheckpointError(
            f"this checkpoint has parts of the robots {robots} and of the skills {skills}; none of"
            f" {family.id}{_meant(tasks, wanted)}"
        )
    met = "trained together" if found[0].get("trained", True) else "which never met in training"
    robot, skill = found[0][PAIR]
    taken = f"the encoder and decoder of {robot} around the core of {skill}, {met}"
    return _plain(checkpoint, found[0], found[0]["view"], taken)


def _meant(tasks: Sequence[Any], wanted: Pair | None) -> str:
    """Name the pair of the same robot and skill that has other options, if there is one."""
    if wanted is None:
        return ""
    for task in tasks:
        robot, skill = task[PAIR]
        if robot == wanted.robot and split_name(skill)[0] == split_name(wanted.skill)[0]:
            return f"; did you mean {task['family']}?"
    return ""


def _without_head(
    checkpoint: Checkpoint, tasks: Sequence[Any], family: TaskFamily[Any], names: str
) -> Checkpoint:
    """The trunk, with those columns that a family may observe."""
    from metarl.sim.kinds import make_worlds

    spec, trunk = make_worlds(family, 1, physics=MUJOCO).spec, checkpoint.meta[TRUNK]
    try:
        rows = [(str(block), str(of), str(name)) for block, of, name in trunk["columns"]]
        first = dict(trunk["view"])
    except (LookupError, TypeError, ValueError) as error:
        raise _malformed(error) from error
    blocks, columns, places = dict[str, int](), dict[str, list[str]](), list[int]()
    for block, width in spec.blocks.items():
        whose = "" if block in spec.columns else str(width)
        mine = [i for i, (b, of, _) in enumerate(rows) if (b, of) == (block, whose)]
        if block != _TASK and mine:
            blocks[block] = len(mine)
            places += mine
            if not whose:
                columns[block] = [rows[i][2] for i in mine]
    if not places:
        have = ", ".join(dict.fromkeys(f"{b} of {of or 'named columns'}" for b, of, _ in rows))
        raise ConfigError(f"{family.id} observes nothing that the trunk of {names} knows: {have}")
    # A head is needed for a whole policy; it plays no part.
    head = {n: p for n, p in tasks[0]["view"].items() if n not in first}
    first[_FIRST] = [first[_FIRST][0], places, None]
    task = {"family": names, "blocks": {**blocks, _TASK: 0}, "action_dim": tasks[0]["action_dim"]}
    why = f"drawn anew, for no head of {names} is of {family.id}"
    taken = f"of {len(tasks)} families the trunk alone, for none of them is {family.id}"
    found = _plain(checkpoint, task, {**first, **head}, taken)
    return Checkpoint(found.tensors, {**found.meta, HEADLESS: why, COLUMNS: columns})


_FIRST = "trunk.layers.0.weight"


def _plain(
    checkpoint: Checkpoint, task: Mapping[str, Any], view: Any, taken: str
) -> Checkpoint:
    import torch

    from metarl.nn.views import seen

    try:
        parts = {name: _parts(row) for name, row in view.items()}
        tensors = {n: t.clone() for n, t in seen(parts, part("policy", checkpoint.tensors)).items()}
        tensors["context"] = torch.zeros(task["blocks"][_TASK])
        widths = [len(t) for n, t in tensors.items() if n.startswith("trunk.") and t.dim() == 2]
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _malformed(error) from error
    meta, fingerprints = checkpoint.meta, checkpoint.meta.get(FINGERPRINT)
    kept: dict[str, Any] = {n: meta[n] for n in _KEPT if n in meta}
    known = fingerprints.get(task["family"]) if isinstance(fingerprints, dict) else None
    interface = {} if known is None else {FINGERPRINT: known}
    config = {**meta.get("config", {}), "hidden": widths}
    described = {n: task[n] for n in ("family", "blocks", "action_dim")}
    return Checkpoint(
        join("policy", tensors),
        {**kept, **described, **interface, "config": config, TAKEN: taken},
    )


def _tasks(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    tasks = checkpoint.meta[TASKS]
    if not isinstance(tasks, list) or not tasks or not all(map(_is_task, tasks)):
        raise _malformed("what it says of its tasks is none of metarl's")
    return tasks


def _is_task(task: Any) -> bool:
    if not isinstance(task, dict) or not isinstance(task.get("family"), str):
        return False
    blocks = task.get("blocks")
    if not isinstance(blocks, dict) or not isinstance(task.get("view"), dict):
        return False
    return _TASK in blocks and all(map(is_count, (task.get("action_dim"), *blocks.values())))


def _as_json(view: View) -> dict[str, list[Any]]:
    from metarl.nn.views import Part

    return {
        name: _row(parts) if isinstance(parts, Part) else [_row(part) for part in parts]
        for name, parts in view.items()
    }


def _row(part: Part) -> list[Any]:
    """A part; where it stands within a row is said only of what is stacked."""
    row = [part.tensor, *(None if x is None else list(x) for x in (part.columns, part.plus))]
    return row if part.at is None else [*row, list(part.at)]


def _parts(row: Any) -> Part | tuple[Part, ...]:
    return _part(*row) if isinstance(row[0], str) else tuple(_part(*part) for part in row)


def _part(tensor: str, columns: Any, plus: Any, at: Any = None) -> Part:
    from metarl.nn.views import Part

    for places in (columns, at):
        if places is not None and not (isinstance(places, list) and all(map(is_count, places))):
            raise ValueError(f"columns {str(places)[:80]}")
    if plus is not None and not is_count(plus[1]):
        raise ValueError(f"column {str(plus)[:80]}")
    chosen, here = (None if places is None else tuple(places) for places in (columns, at))
    return Part(tensor, chosen, plus and (plus[0], plus[1]), here)


def _malformed(error: object) -> CheckpointError:
    return CheckpointError(
        f"this checkpoint of several families cannot be read: {' '.join(str(error).split())[:200]};"
        " it was not written by metarl, or was changed since"
    )
