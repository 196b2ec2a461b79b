"""Programs of plain Python numbers, and what NumPy's functions of numbers look like in them."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np


class Untraceable(Exception):
    """Somebody needed a number itself, not what is done with it."""


MOST_LINES = 4000  # of a program; NumPy does wide arrays faster anyway

Cell = Any  # a name on the tape, or a number that is always the same
_pack, _unpack = struct.Struct("f").pack, struct.Struct("f").unpack


def _single(x: float) -> float:
    """Round to float32."""
    value: float = _unpack(_pack(x))[0]
    return value


def _int64(x: int | float) -> int:
    """What is an int64.

    Raises:
        OverflowError: Where NumPy's would wrap around.
    """
    whole = int(x)
    if not -(2**63) <= whole < 2**63:
        raise OverflowError(whole)
    return whole


def _over_zero(x: float, zero: float) -> float:
    """Divide by zero as NumPy does."""
    return math.copysign(1.0, zero) * x * math.inf if x else math.nan


# What a ufunc does to numbers. Python's operators round as NumPy's do. Where they raise (a remainder
# of zero, the sine of infinity), whoever runs the program falls back on NumPy.
FORMS = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "({0} / {1} if {1} else over_zero({0}, {1}))",
    "remainder": "{0} % {1}",
    "negative": "-{0}",
    "positive": "{0}",
    "absolute": "abs({0})",
    "square": "{0} * {0}",
    "sqrt": "(sqrt({0}) if {0} >= 0.0 else nan)",
    "sign": "(1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else {0})",
    "maximum": "({1} if {0} <= {1} or {1} != {1} else {0})",
    "minimum": "({1} if {0} >= {1} or {1} != {1} else {0})",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "isfinite": "isfinite({0})",
    "isnan": "{0} != {0}",
}
# Functions of Python's that may be NumPy's to the bit: it depends on NumPy and the processor.
SAME = {"sin": math.sin, "cos": math.cos, "tan": math.tan, "exp": math.exp, "arctan": math.atan}
_PROBES = np.random.default_rng(0).normal(size=2000) * 3.0
FORMS |= {
    name: name + "({0})"
    for name, own in SAME.items()
    if getattr(np, name)(_PROBES).tolist() == list(map(own, _PROBES.tolist()))
}
# With a constant that is no NaN. Of two zeros NumPy takes the second.
_BOUNDED = {
    "maximum": ("({1} if {0} <= {1} else {0})", "({0} if {1} < {0} else {1})"),
    "minimum": ("({1} if {0} >= {1} else {0})", "({0} if {1} > {0} else {1})"),
}
LOGIC = {
    "add": "{0} or {1}",
    "maximum": "{0} or {1}",
    "logical_or": "{0} or {1}",
    "bitwise_or": "{0} or {1}",
    "multiply": "{0} and {1}",
    "minimum": "{0} and {1}",
    "logical_and": "{0} and {1}",
    "bitwise_and": "{0} and {1}",
    "not_equal": "{0} is not {1}",
    "logical_xor": "{0} is not {1}",
    "bitwise_xor": "{0} is not {1}",
    "invert": "not {0}",
    "logical_not": "not {0}",
}


class Tape:
    """A program that is being written.

    Attributes:
        lines: What it does in turn: (name, expression, the names that it needs); a guard has
            no name, and the program ends where its expression is false.
        names: What its expressions may use beside numbers.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, tuple[str, ...]]] = []
        self.names: dict[str, Any] = {
            "sqrt": math.sqrt, "isfinite": math.isfinite, "single": _single,
            "over_zero": _over_zero, "int64": _int64,
            "inf": math.inf, "nan": math.nan, "array": np.array, **SAME,
        }  # fmt: skip
        self._known: dict[str, str] = {}

    def write(self, expression: str, needs: tuple[Cell, ...]) -> str:
        """Add a line, unless the same stands there; its name."""
        if expression not in self._known:
            name = f"v{len(self.lines)}"
            self._add(name, expression, needs)
            self._known[expression] = name
        return self._known[expression]

    def guard(self, condition: str, needs: tuple[Cell, ...]) -> None:
        """From here on the program holds only where a condition does."""
        if f"guard {condition}" not in self._known:
            self._known[f"guard {condition}"] = ""
            self._add("", condition, needs)

    def _add(self, name: str, expression: str, needs: tuple[Cell, ...]) -> None:
        if len(self.lines) == MOST_LINES:
            raise Untraceable(
                f"its arrays are wide: number by number it takes more than {MOST_LINES} operations"
            )
        self.lines.append((name, expression, tuple(x for x in needs if isinstance(x, str))))

    def borrow(self, thing: Any) -> str:
        """A name under which expressions may use something."""
        name = f"f{len(self.names)}"
        for known, other in self.names.items():
            if other is thing:
                return known
        self.names[name] = thing
        return name


def text(cell: Cell) -> str:
    """A cell in an expression."""
    if isinstance(cell, str):
        return cell
    text = repr(cell)
    return f"({text})" if text.startswith("-") else text


def one_number(
    tape: Tape,
    ufunc: np.ufunc,
    name: str,
    form: str | None,
    args: tuple[Cell, ...],
    dtype: np.dtype[Any],
) -> str:
    """Write down what a ufunc makes of numbers; dtype is that of the result."""
    texts = [text(x) for x in args]
    single = dtype == np.float32
    if dtype.kind not in "fib" or dtype.itemsize not in (1, 4, 8):
        raise Untraceable(f"{name} gives {dtype}")
    if form is None or (single and name in SAME):
        if dtype not in (np.float64, np.bool_):
            raise Untraceable(f"{name} gives {dtype}")
        return tape.write(f"{tape.borrow(ufunc)}({', '.join(texts)}).item()", args)
    if name == "divide" and not isinstance(args[1], str) and args[1]:
        form = "{0} / {1}"
    if name in _BOUNDED:
        fixed = [not isinstance(x, str) and x == x for x in args]
        form = _BOUNDED[name][0] if fixed[1] else _BOUNDED[name][1] if fixed[0] else form
    expression = form.format(*texts)
    # what only chooses between numbers, or makes bools of them, neither rounds nor overflows
    if name not in ("maximum", "minimum", "positive"):
        if single and name not in ("absolute", "negative"):
            expression = f"single({expression})"
        elif dtype.kind == "i":
            expression = f"int64({expression})"
    return tape.write(expression, args)
