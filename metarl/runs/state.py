"""A nested training state as named tensors and JSON, and back, bit for bit.

This is how the state of optimizers and generators is saved without pickle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from metarl.errors import CheckpointError

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor
    from torch.optim import Optimizer


def flatten(state: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split a nested training state into what `save_checkpoint` takes.

    Args:
        state: Any nesting of dicts, lists and tuples around tensors, NumPy arrays and scalars,
            strings, integers of any size, floats, booleans, bytes and None: state dicts of modules
            and optimizers, the state of a NumPy bit generator. Dict keys may be anything hashable
            of these.
    Returns:
        tensors: Copies on the CPU, named after their place in `state`.
        meta: JSON under the one key ``"state"``; other keys may be added beside it.
    Raises:
        CheckpointError: If `state` holds something else; the message names its place.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, {"state": _encode(state, ("state",), tensors)}


def unflatten(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Any:
    """Rebuild the state that `flatten` split, bit for bit.

    Args:
        tensors: As `flatten` returned them.
        meta: As `flatten` returned it; other keys are ignored.
    Returns:
        The state; its tensors and arrays are copies. Subclasses of dict come back as dict,
        parameters as plain tensors.
    Raises:
        CheckpointError: If the two do not describe a state.
    """
    if "state" not in meta:
        raise CheckpointError(f"no state in this checkpoint; its meta holds: {', '.join(meta)}")
    try:
        return _decode(meta["state"], tensors)
    except (AttributeError, KeyError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"this checkpoint's state cannot be rebuilt: {error!r}") from error


def load_optimizer(optimizer: Optimizer, saved: Any) -> None:
    """Let an Adam go on from a saved state; torch alone takes one that fails at the next step.

    Args:
        optimizer: Of the parameters that the state is of.
        saved: Its ``state_dict``.
    Raises:
        CheckpointError: If it is none of these parameters.
    """
    before = [dict(group) for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(saved)
        fault = _group_fault(before, optimizer.param_groups) or _moments_fault(optimizer)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        raise CheckpointError(f"the optimizer's state is of other parameters: {fault}")


def _group_fault(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> str:
    for then, group in zip(before, now, strict=True):
        for name, value in then.items():
            same = name in group and _kind(value) == _kind(group[name])
            if not same or not np.isfinite(group[name] if _kind(value) == "number" else 0.0):
                return f"{name} is {group.get(name)!r}"
    return ""


def _kind(value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


def _moments_fault(optimizer: Optimizer) -> str:
    for parameter, moments in optimizer.state.items():
        if moments and not {"step", "exp_avg", "exp_avg_sq"} <= moments.keys():
            return f"it has {', '.join(moments)}"
        for name, value in moments.items():
            if name != "step" and value.shape != parameter.shape:
                return f"{name} of shape {tuple(value.shape)} for {tuple(parameter.shape)}"
            if value.numel() != 1 and name == "step":
                return f"{name} of shape {tuple(value.shape)}"
    return ""


def not_finite(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> str:
    """Name something in a saved state that is no finite number; empty if all are.

    Args:
        tensors: Of a checkpoint; also those of `flatten`.
        meta: Likewise; only what `flatten` put there is looked at.
    """
    import torch

    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            return name
    stack = [(meta.get("state"), "state")]
    while stack:
        node, place = stack.pop()
        if isinstance(node, list):
            stack += [(child, place) for child in node]
        elif isinstance(node, dict):
            for kind, payload in node.items():
                if kind == "float":
                    return place
                if kind in ("array", "scalar"):
                    if not _is_finite_array(payload, tensors):
                        return payload[0]
                elif kind == "dict":
                    stack += [(child, f"{place}/{key}") for key, child in payload]
                else:
                    stack.append((payload, place))
    return ""


def _is_finite_array(payload: list[Any], tensors: Mapping[str, Tensor]) -> bool:
    name, dtype, _ = payload
    raw = tensors[name].numpy().view(np.dtype(dtype))
    return raw.dtype.kind not in "fc" or bool(np.isfinite(raw).all())


def _encode(value: Any, place: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    """Turn a value into JSON: plain values and lists as they are, the rest as {kind: payload}."""
    # Exact types: an IntEnum or a namedtuple would come back as something less.
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) is bytes:
        return {"bytes": value.hex()}
    if type(value) in (list, tuple):
        nodes = [_encode(child, (*place, str(i)), tensors) for i, child in enumerate(value)]
        return nodes if type(value) is list else {"tuple": nodes}
    if isinstance(value, dict):
        return {"dict": [_encode_item(item, place, tensors) for item in value.items()]}
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode_array(value, place, tensors)
    return _encode_tensor(value, place, tensors)


def _encode_item(item: tuple[Any, Any], place: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    key, child = item
    below = (*place, str(key))
    return [_encode(key, (*below, "key"), tensors), _encode(child, below, tensors)]


def _encode_array(
    value: np.ndarray | np.generic, place: tuple[str, ...], tensors: dict[str, Tensor]
) -> Any:
    import torch

    if value.dtype.kind not in "biufcSUMm":
        raise CheckpointError(f"{'/'.join(place)}: cannot save an array of dtype {value.dtype}")
    kind = "array" if isinstance(value, np.ndarray) else "scalar"
    # Raw bytes, since torch lacks some of NumPy's types and byte orders.
    raw = np.array(value, order="C").reshape(-1).view(np.uint8)
    name = _store(torch.from_numpy(raw), place, tensors)
    return {kind: [name, value.dtype.str, list(value.shape)]}


def _encode_tensor(value: Any, place: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        raise CheckpointError(
            f"{'/'.join(place)}: cannot save a {type(value).__name__}; valid: tensors, NumPy "
            "arrays and scalars, dict, list, tuple, str, int, float, bool, bytes, None"
        )
    return {"tensor": _store(value.detach().to("cpu", copy=True), place, tensors)}


def _store(tensor: Tensor, place: tuple[str, ...], tensors: dict[str, Tensor]) -> str:
    name = "/".join(place)
    while name in tensors:  # {"a/b": x} beside {"a": {"b": x}}
        name += "'"
    tensors[name] = tensor
    return name


def _decode(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_decode(child, tensors) for child in node]
    if not isinstance(node, dict):
        return node
    [(kind, payload)] = node.items()
    if kind == "dict":
        return {_decode(key, tensors): _decode(child, tensors) for key, child in payload}
    if kind == "tuple":
        return tuple(_decode(child, tensors) for child in payload)
    if kind == "tensor":
        return tensors[payload].clone()
    if kind in ("array", "scalar"):
        name, dtype, shape = payload
        array = tensors[name].numpy().copy().view(np.dtype(dtype)).reshape(shape)
        return array if kind == "array" else array[()]
    if kind == "float":
        return float(payload)
    if kind == "bytes":
        return bytes.fromhex(payload)
    raise ValueError(f"unknown kind {kind!r}")
