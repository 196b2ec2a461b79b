"""Models: compiled from whatever a family returns, and checked once."""

from __future__ import annotations

import copy
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from metarl.errors import SimulationError
from metarl.sim.heard import listen, tell
from metarl.sim.mjcf import check_file, check_text

# What the rows of a model's arrays are: prefix of the array -> what `mj_id2name` calls it.
_KINDS = {
    "body": "body", "jnt": "joint", "geom": "geom", "site": "site", "cam": "camera",
    "light": "light", "mesh": "mesh", "skin": "skin", "hfield": "hfield", "tex": "texture",
    "mat": "material", "pair": "pair", "eq": "equality", "tendon": "tendon",
    "actuator": "actuator", "sensor": "sensor", "numeric": "numeric", "key": "key",
}  # fmt: skip


def compile_model(source: object, origin: str) -> mujoco.MjModel:
    """Compile an MjSpec, MJCF text or the path of an MJCF file.

    Args:
        source: What a family's `models` returned.
        origin: Who returned it, for the message.
    Raises:
        SimulationError: If it does not parse or compile, asks for more than a model may, refers
            to files outside of its folder, or has numbers that are not finite; the message has
            the file and the line, or the element and the field.
    """
    kept = _kept.get()
    if kept is None or not isinstance(source, str) or not source.lstrip().startswith("<"):
        return _checked(source, origin)
    if source not in kept:
        kept[source] = _checked(source, origin)
    return copy.copy(kept[source])


Kept = dict[str, mujoco.MjModel]  # MJCF text -> what it compiles to
_kept: ContextVar[Kept | None] = ContextVar("kept", default=None)


@contextmanager
def compiled_once(kept: Kept) -> Iterator[None]:
    """Compile the same text once, for who makes the same worlds many times.

    Args:
        kept: What has been compiled, and will be; whoever asks gets a copy.
    """
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)


def _checked(source: object, origin: str) -> mujoco.MjModel:
    model = source if isinstance(source, mujoco.MjModel) else _compile(source, origin)
    require_finite(model, origin)
    if model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP.value:
        raise SimulationError(
            f'{origin}: <flag sleep="enable"/> is not supported: what sleeps is no part of the state'
            " from which worlds are stepped in batches; remove the flag"
        )
    # A diverged world must be seen, not quietly put back to its default state.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    return model


def load_spec(source: object, origin: str) -> mujoco.MjSpec:
    """Read an MJCF text or the path of an MJCF file, checked by `metarl.sim.mjcf`.

    Args:
        source: Text, path, or an MjSpec, which is given back.
        origin: Whose it is, for the message.
    Raises:
        SimulationError: As `compile_model`.
    """
    listen()
    if isinstance(source, mujoco.MjSpec):
        return source
    if not isinstance(source, str | os.PathLike):
        raise SimulationError(
            f"{origin}: got {type(source).__name__}; expected an MjSpec, MJCF text, or a path"
        )
    text = str(source).lstrip("\ufeff \t\r\n")
    try:
        with _quiet():
            return _read(source, text, origin)
    except _MUJOCO as error:
        said = " ".join(str(error).split())
        name = "" if text.startswith("<") else f"{source}: "
        raise SimulationError(f"{origin}: {name}the model does not compile: {said}") from error


def _read(source: str | os.PathLike[str], text: str, origin: str) -> mujoco.MjSpec:
    if text.startswith("<"):
        check_text(str(source), origin)
        return mujoco.MjSpec.from_string(text)
    path = Path(source).expanduser()
    check_file(path, origin)
    return mujoco.MjSpec.from_file(str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """MuJoCo's warnings once, by `tell`, and not by `warnings` as well, which may be errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    tell()


_MUJOCO = (ValueError, TypeError, OSError, MemoryError, mujoco.FatalError)  # what it may raise


def _compile(source: object, origin: str) -> mujoco.MjModel:
    spec = load_spec(source, origin)
    try:
        with _quiet():
            return spec.compile()
    except _MUJOCO as error:
        said = " ".join(str(error).split())
        raise SimulationError(
            f"{origin}: the model does not compile: {said}{_where(spec, said)}"
        ) from error


def _where(spec: mujoco.MjSpec, said: str) -> str:
    """Which asset names the file that MuJoCo could not open, as far as that is known."""
    found = re.search(r"'([^']+)'", said)
    if found:
        for kind in ("meshes", "textures", "hfields", "skins"):
            for thing in getattr(spec, kind):
                if thing.file and found.group(1).endswith(os.path.basename(thing.file)):
                    place = ", ".join(x for x in (spec.modelfiledir, thing.info) if x)
                    return f" ({kind} {thing.name!r}, {place or 'built in code'})"
    return ""


# Numbers --------------------------------------------------------------------------------


def require_finite(model: mujoco.MjModel, origin: str) -> None:
    """Check every number of a compiled model.

    Args:
        model: The model.
        origin: Whose it is, for the message.
    Raises:
        SimulationError: If one is not finite; the message has the element and the field.
    """
    for name, values in _floats(model):
        if not np.isfinite(values).all():
            at = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
            raise SimulationError(
                f"{origin}: {name} of {_element(model, name, at)} is {values[at]}; expected a"
                " finite number"
            )


def _floats(model: mujoco.MjModel) -> Iterator[tuple[str, np.ndarray]]:
    for name in _float_names():
        values = getattr(model, name)
        if values.size:
            yield name, values
    for name in ("timestep", "gravity", "wind", "magnetic", "density", "viscosity", "impratio"):
        yield f"opt.{name}", np.atleast_1d(np.asarray(getattr(model.opt, name), float))


@lru_cache(maxsize=1)
def _float_names() -> tuple[str, ...]:
    """The names of a model's arrays of floating-point numbers."""
    model: Any = mujoco.MjModel.from_xml_string("<mujoco/>")
    arrays = {n: getattr(model, n, None) for n in dir(model) if not n.startswith("_")}
    return tuple(
        name for name, x in arrays.items() if isinstance(x, np.ndarray) and x.dtype.kind == "f"
    )


def _element(model: mujoco.MjModel, name: str, at: tuple[int, ...]) -> str:
    """Which element a number of an array belongs to."""
    prefix, row = name.partition("_")[0], at[0]
    if name.startswith("opt."):
        return "<option>"
    if prefix == "dof":
        prefix, row = "jnt", int(model.dof_jntid[row])
    elif prefix in ("qpos0", "qpos"):
        prefix, row = "jnt", int(np.searchsorted(model.jnt_qposadr, row, "right")) - 1
    kind = _KINDS.get(prefix)
    count = {
        "joint": model.njnt,
        "camera": model.ncam,
        "texture": model.ntex,
        "material": model.nmat,
    }
    size = count.get(kind or "", getattr(model, f"n{kind}", 0)) if kind else 0
    if kind is None or (len(getattr(model, name)) != size and prefix != "jnt"):
        return f"the model, at {list(at)},"
    found = mujoco.mj_id2name(model, getattr(mujoco.mjtObj, f"mjOBJ_{kind.upper()}"), row)
    return f"{kind} {found!r}" if found else f"{kind} {row}"
