"""Arrays that write down what is done to them, as a program of plain Python numbers.

NumPy takes about a microsecond for a call, whether it is about one number or a thousand. A world
alone has a few numbers in each array, and a family makes a hundred calls in a control step. A
`Traced` array computes as NumPy does and writes down, on its `Tape`, how each of its numbers came
about. Where Python looks at a number (``if x.any()``, an index), the tape notes what it was: the
program holds for as long as that is so again, and says so when it is not.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class Untraceable(Exception):
    """Somebody needed a number itself, not what is done with it."""


_Cell = Any  # a name on the tape, or a number that is always the same
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
_FORMS = {
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
_SAME = {"sin": math.sin, "cos": math.cos, "tan": math.tan, "exp": math.exp, "arctan": math.atan}
_PROBES = np.random.default_rng(0).normal(size=2000) * 3.0
_FORMS |= {
    name: name + "({0})"
    for name, own in _SAME.items()
    if getattr(np, name)(_PROBES).tolist() == list(map(own, _PROBES.tolist()))
}
# With a constant that is no NaN. Of two zeros NumPy takes the second.
_BOUNDED = {
    "maximum": ("({1} if {0} <= {1} else {0})", "({0} if {1} < {0} else {1})"),
    "minimum": ("({1} if {0} >= {1} else {0})", "({0} if {1} > {0} else {1})"),
}
_LOGIC = {
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
# Functions that only move numbers about; their first argument is what they move.
_MOVES = {
    np.concatenate, np.stack, np.column_stack, np.hstack, np.vstack, np.reshape, np.ravel,
    np.transpose, np.moveaxis, np.swapaxes, np.take, np.repeat, np.tile, np.broadcast_to,
    np.split, np.array_split, np.expand_dims, np.squeeze, np.roll, np.flip, np.copy,
    np.atleast_1d, np.atleast_2d,
}  # fmt: skip


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
            "inf": math.inf, "nan": math.nan, "array": np.array, **_SAME,
        }  # fmt: skip
        self._known: dict[str, str] = {}

    def write(self, expression: str, needs: tuple[_Cell, ...]) -> str:
        """Add a line, unless the same stands there; its name."""
        if expression not in self._known:
            name = f"v{len(self.lines)}"
            self._add(name, expression, needs)
            self._known[expression] = name
        return self._known[expression]

    def guard(self, condition: str, needs: tuple[_Cell, ...]) -> None:
        """From here on the program holds only where a condition does."""
        if f"guard {condition}" not in self._known:
            self._known[f"guard {condition}"] = ""
            self._add("", condition, needs)

    def _add(self, name: str, expression: str, needs: tuple[_Cell, ...]) -> None:
        self.lines.append((name, expression, tuple(x for x in needs if isinstance(x, str))))

    def borrow(self, thing: Any) -> str:
        """A name under which expressions may use something."""
        name = f"f{len(self.names)}"
        for known, other in self.names.items():
            if other is thing:
                return known
        self.names[name] = thing
        return name

    def constant(self, value: np.ndarray) -> Traced:
        """An array whose numbers are always the same."""
        return Traced(self, value, value.astype(object))

    def lift(self, value: Any) -> Traced:
        """Whatever is an array or a number, as a traced one."""
        return value if isinstance(value, Traced) else self.constant(np.asarray(value))


class Traced(NDArrayOperatorsMixin):
    """An array with the history of its numbers.

    Args:
        tape: Where it is written.
        value: Its numbers now.
        cells: Of each number its name on the tape, or the number if it is always the same.
    """

    __slots__ = ("cells", "tape", "value")

    def __init__(self, tape: Tape, value: np.ndarray, cells: np.ndarray):
        self.tape, self.value, self.cells = tape, value, cells

    # What an array has ------------------------------------------------------------------

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # type: ignore[override]
        """For who asks with `isinstance`: an array, or a number of NumPy's."""
        return np.ndarray if self.value.ndim else self.value.dtype.type

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """As of an array."""
        return self.value.size

    @property
    def T(self) -> Traced:
        """As of an array."""
        return Traced(self.tape, self.value.T, self.cells.T)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Traced]:
        return (self[i] for i in range(len(self.value)))

    def __getitem__(self, key: Any) -> Traced:
        key = _known_key(key)
        value, cells = self.value[key], self.cells[key]
        if not isinstance(value, np.ndarray):
            value, cells = np.asarray(value), _object(cells)
        return Traced(self.tape, value, cells)

    def __setitem__(self, key: Any, given: Any) -> None:
        key = _known_key(key)
        given = self.tape.lift(given)
        self.value[key] = given.value
        self.cells[key] = _cast(self.tape, given, self.dtype)

    def reshape(self, *shape: Any) -> Traced:
        """As of an array."""
        return Traced(self.tape, self.value.reshape(*shape), self.cells.reshape(*shape))

    def astype(self, dtype: Any) -> Traced:
        """As of an array."""
        dtype = np.dtype(dtype)
        return Traced(self.tape, self.value.astype(dtype), _cast(self.tape, self, dtype).copy())

    def copy(self) -> Traced:
        """As of an array."""
        return Traced(self.tape, self.value.copy(), self.cells.copy())

    def take(self, indices: Any, axis: int | None = None) -> Traced:
        """As of an array."""
        return Traced(self.tape, self.value.take(indices, axis), self.cells.take(indices, axis))

    def ravel(self) -> Traced:
        """As of an array."""
        return self.reshape(-1)

    def flatten(self) -> Traced:
        """As of an array."""
        return self.reshape(-1).copy()

    def squeeze(self, axis: Any = None) -> Traced:
        """As of an array."""
        return Traced(self.tape, self.value.squeeze(axis), self.cells.squeeze(axis))

    def clip(self, min: Any = None, max: Any = None) -> Any:
        """As of an array."""
        return _clip(self, min, max)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """As of an array."""
        return _reduced(np.add, self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As of an array."""
        if self.dtype == np.float32:
            raise Untraceable("a mean in single precision")
        total = self.sum(axis, keepdims)
        return np.true_divide(total, float(self.size // max(total.size, 1)))

    def max(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """As of an array."""
        return _reduced(np.maximum, self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """As of an array."""
        return _reduced(np.minimum, self, axis, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """As of an array."""
        return _reduced(np.logical_or, self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """As of an array."""
        return _reduced(np.logical_and, self, axis, keepdims)

    # What Python looks at ---------------------------------------------------------------

    def __bool__(self) -> bool:
        truth = bool(self.value)
        cell = self.cells.reshape(-1)[0]
        if isinstance(cell, str):
            self.tape.guard(cell if truth else f"not {cell}", (cell,))
        return truth

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        for cell, value in zip(self.cells.reshape(-1), self.value.reshape(-1).tolist()):
            if isinstance(cell, str):
                if self.dtype.kind == "f":
                    raise Untraceable("a number became part of a plain array")
                self.tape.guard(f"{cell} == {value!r}", (cell,))
        return self.value.astype(dtype or self.dtype)

    def __int__(self) -> int:
        return int(self.__array__().item())

    def __index__(self) -> int:
        if self.ndim:
            raise TypeError("only a single integer can be an index")
        return int(self.__array__().item())

    def __float__(self) -> float:
        return float(self.__array__().item())

    def __ipow__(self, power: Any) -> Any:
        self[...] = self**power
        return self

    def __pow__(self, power: Any) -> Any:
        if isinstance(power, np.generic):
            raise Untraceable("a power that is one of NumPy's numbers")
        short: dict[Any, np.ufunc] = {
            1: np.positive,
            2: np.square,
            0.5: np.sqrt,
            -1: np.reciprocal,
        }  # as NumPy does
        if isinstance(power, (int, float)) and power in short:
            return _elementwise(self.tape, short[power], (self,))
        return np.power(self, power)

    # What NumPy does --------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", (None,))[0]
        if out is not None and (kwargs or not isinstance(out, Traced)):
            raise Untraceable("a number was written into a plain array")
        if method == "reduce" and out is None:
            extra = {key: kwargs[key] for key in kwargs if key not in ("axis", "keepdims")}
            if not {key for key, value in extra.items() if value is not None}:
                axis = kwargs.get("axis", inputs[1] if len(inputs) > 1 else 0)
                return _reduced(ufunc, inputs[0], axis, kwargs.get("keepdims", False))
        if method == "__call__" and ufunc.nout == 1 and ufunc.signature is None and not kwargs:
            result = _elementwise(self.tape, ufunc, inputs)
        else:
            function = ufunc if method == "__call__" else getattr(ufunc, method)
            result = _called(self.tape, function, inputs, kwargs)
        if isinstance(out, Traced) and out.ndim:  # a number is not written into
            out[...] = result
            return out
        return result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _MOVES:
            return _moved(self.tape, function, args, kwargs)
        own = _FUNCTIONS.get(function)
        try:
            if own is not None:
                return own(*args, **kwargs)
        except TypeError:  # arguments that are not foreseen
            pass
        return _called(self.tape, function, args, kwargs)


def _known_key(key: Any) -> Any:
    if isinstance(key, Traced):
        return key.__array__()
    if isinstance(key, tuple):
        return tuple(_known_key(part) for part in key)
    return key


def _object(cell: _Cell) -> np.ndarray:
    made = np.empty((), object)
    made[()] = cell
    return made


def _text(cell: _Cell) -> str:
    """A cell in an expression."""
    if isinstance(cell, str):
        return cell
    text = repr(cell)
    return f"({text})" if text.startswith("-") else text


def _cast(tape: Tape, array: Traced, dtype: np.dtype[Any]) -> np.ndarray:
    """Its cells as numbers of another type."""
    if dtype == array.dtype:
        return array.cells
    source, target = array.dtype.kind, dtype.kind
    varies = any(isinstance(x, str) for x in array.cells.reshape(-1))
    if target == "f" and varies and (dtype.itemsize, source) in ((2, "f"), (2, "i"), (4, "i")):
        raise Untraceable(f"numbers became {dtype}")
    if target == "f":
        form = "1.0 * {0}" if source in "bi" else "{0}"
        form = "single({0})" if dtype.itemsize == 4 and source == "f" else form
        if dtype.itemsize == 8 and source == "f":
            return array.cells  # float32 fits
    elif target == "i" and dtype.itemsize == 8:
        form = "int64({0})"
    elif target == "b":
        form = "{0} != 0"
    else:
        raise Untraceable(f"numbers became {dtype}")
    cells = np.empty(array.shape, object)
    for at in np.ndindex(array.shape):
        cell = array.cells[at]
        if isinstance(cell, str):
            cells[at] = cell if form == "{0}" else tape.write(form.format(cell), (cell,))
        else:
            cells[at] = np.asarray(cell).astype(dtype).item()
    return cells


def _elementwise(tape: Tape, ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Traced:
    """What a ufunc makes of arrays, number by number."""
    inputs = tuple(np.asarray(x) if isinstance(x, (list, tuple)) else x for x in inputs)
    plain = [x.value if isinstance(x, Traced) else x for x in inputs]
    value = np.asarray(ufunc(*plain))
    if not value.flags.c_contiguous:
        raise Untraceable("a result that is not in C order")
    given = [tape.lift(x) for x in inputs]
    kinds = {x.dtype.kind for x in given}
    name = {"true_divide": "divide", "conjugate": "positive", "fabs": "absolute"}.get(
        ufunc.__name__, ufunc.__name__
    )
    if kinds == {"b"} and name in _LOGIC:
        form: str | None = _LOGIC[name]
    elif name in ("logical_and", "logical_or", "logical_not", "logical_xor"):
        given, form = [x.astype(bool) for x in given], _LOGIC[name]
    else:
        form = _FORMS.get(name)
    at_work = np.result_type(*plain)  # what both are cast to
    if at_work == np.float32:
        given = [x.astype(np.float32) for x in given]
    elif at_work.kind == "f" and at_work != np.float64:
        raise Untraceable(f"numbers of type {at_work}")
    elif form is None and at_work != np.float64:
        if value.dtype != np.float64:
            raise Untraceable(f"{name} gives {value.dtype}")
        given = [x.astype(np.float64) for x in given]
    cells = np.empty(value.shape, object)
    lined = [np.broadcast_to(x.cells, value.shape) for x in given]
    for at in np.ndindex(value.shape):
        args = tuple(x[at] for x in lined)
        if not any(isinstance(x, str) for x in args):
            cells[at] = value[at].item()
            continue
        cells[at] = _one(tape, ufunc, name, form, args, value.dtype)
    return Traced(tape, value, cells)


def _one(
    tape: Tape,
    ufunc: np.ufunc,
    name: str,
    form: str | None,
    args: tuple[_Cell, ...],
    dtype: np.dtype[Any],
) -> str:
    """Write down what a ufunc makes of numbers; dtype is that of the result."""
    texts = [_text(x) for x in args]
    single = dtype == np.float32
    if dtype.kind not in "fib" or dtype.itemsize not in (1, 4, 8):
        raise Untraceable(f"{name} gives {dtype}")
    if form is None or (single and name in _SAME):
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


def _reduced(ufunc: np.ufunc, array: Any, axis: Any, keepdims: bool) -> Traced:
    """What a ufunc leaves of an array along an axis, in the order in which NumPy takes it."""
    tape, name = array.tape, ufunc.__name__
    logic = name in ("logical_or", "logical_and")
    if name not in ("add", "maximum", "minimum") and not logic:
        return _called(tape, ufunc.reduce, (array, axis), {"keepdims": keepdims})
    value = np.asarray(ufunc.reduce(array.value, axis, keepdims=keepdims))
    if logic:
        array = array.astype(bool)
    elif name == "add" and array.dtype == bool:
        array = array.astype(int)
    axes = (
        tuple(range(array.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    )
    axes = tuple(a % array.ndim for a in axes)
    count = math.prod(array.shape[a] for a in axes)
    long = [a for a in range(array.ndim) if array.shape[a] > 1]
    last = set(long[len(long) - len(set(axes) & set(long)) :]) == set(axes) & set(long)
    if name == "add" and count > 2:
        one = len(set(axes) & set(long)) == 1
        in_order = array.value.flags.c_contiguous and (one or last)
        if not in_order and (not one or count >= 8 or min(array.value.strides) < 0):
            raise Untraceable("a sum over an array that is not in C order")
    rest = [a for a in range(array.ndim) if a not in axes]
    shape = [array.shape[a] for a in rest]
    if not count:
        return tape.constant(value)
    rows = array.cells.transpose(*rest, *axes).reshape(*shape, count)
    cells = np.empty(shape, object)

    def join(a: _Cell, b: _Cell) -> _Cell:
        if not isinstance(a, str) and not isinstance(b, str):
            return ufunc(np.asarray(a, array.dtype), np.asarray(b, array.dtype)).item()
        form = _LOGIC[name] if logic else _FORMS[name]
        return _one(tape, ufunc, name, form, (a, b), value.dtype)

    for at in np.ndindex(*shape):
        cells[at] = _joined(rows[at].tolist(), join, pairwise=name == "add" and last)
    return Traced(tape, value, cells.reshape(value.shape))


def _joined(cells: list[_Cell], join: Callable[[_Cell, _Cell], _Cell], *, pairwise: bool) -> _Cell:
    """All cells joined: in turn, or as NumPy adds eight and more that lie side by side."""
    if not pairwise or len(cells) < 8 or len(cells) > 128:
        total = cells[0]
        for cell in cells[1:]:
            total = join(total, cell)
        return total
    parts = cells[:8]
    whole = len(cells) - len(cells) % 8
    for first in range(8, whole, 8):
        parts = [join(a, b) for a, b in zip(parts, cells[first : first + 8])]
    while len(parts) > 1:
        parts = [join(a, b) for a, b in zip(parts[::2], parts[1::2])]
    for cell in cells[whole:]:
        parts = [join(parts[0], cell)]
    return parts[0]


def _moved(tape: Tape, function: Any, args: Any, kwargs: Any) -> Any:
    """A function that only moves numbers about, done to numbers and cells."""
    first, rest = args[0], args[1:]
    if isinstance(first, (list, tuple)):
        given = [tape.lift(x) for x in first]
        dtype = np.result_type(*[x.value for x in given])
        given = [x.astype(dtype) for x in given]
        value = function([x.value for x in given], *rest, **kwargs)
        cells = function([x.cells for x in given], *rest, **kwargs)
    else:
        value = function(first.value, *rest, **kwargs)
        cells = function(first.cells, *rest, **kwargs)
    if isinstance(value, (list, tuple)):
        return [Traced(tape, *pair) for pair in zip(value, cells)]
    return Traced(tape, value, cells)


def _called(tape: Tape, function: Any, args: Any, kwargs: Any) -> Any:
    """Anything else: the program calls it, too."""
    needs: list[str] = []
    if "out" in kwargs or "copy" in kwargs:
        raise Untraceable(f"{getattr(function, '__name__', function)} writes into an array")

    def plain(x: Any) -> Any:
        if isinstance(x, Traced):
            return x.value.copy()
        return type(x)(plain(y) for y in x) if isinstance(x, (list, tuple)) else x

    def text(x: Any) -> str:
        if isinstance(x, Traced):
            if not x.value.flags.c_contiguous:
                raise Untraceable("a function of an array that is not in C order")
            names = x.cells.reshape(-1).tolist()
            needs.extend(names)
            listed = ", ".join(map(_text, names))
            kind = tape.borrow(x.dtype)
            return f"array(({listed},), {kind}).reshape({x.shape})"
        if isinstance(x, (list, tuple)) and any(isinstance(y, Traced) for y in x):
            return f"[{', '.join(map(text, x))}]"
        return tape.borrow(x)

    value = function(*map(plain, args), **{key: plain(x) for key, x in kwargs.items()})
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fib":
        raise Untraceable(f"{getattr(function, '__name__', function)} gives no array of numbers")
    given = ", ".join([*map(text, args), *(f"{key}={text(x)}" for key, x in kwargs.items())])
    whole = tape.write(f"{tape.borrow(function)}({given}).reshape(-1).tolist()", tuple(needs))
    tape.guard(f"len({whole}) == {value.size}", (whole,))  # it may depend on the numbers
    cells = np.empty(value.size, object)
    for k in range(value.size):
        cells[k] = tape.write(f"{whole}[{k}]", (whole,))
    return Traced(tape, value, cells.reshape(value.shape))


# Functions of NumPy's that are no ufuncs, of traced arrays ------------------------------


def _tape_of(*values: Any) -> Tape:
    return next(x.tape for x in values if isinstance(x, Traced))


def _where(condition: Any, a: Any, b: Any) -> Traced:
    tape = _tape_of(condition, a, b)
    plain = [x.value if isinstance(x, Traced) else x for x in (condition, a, b)]
    value: Any = np.where(*plain)
    given = [tape.lift(condition).astype(bool)] + [tape.lift(x).astype(value.dtype) for x in (a, b)]
    lined = [np.broadcast_to(x.cells, value.shape) for x in given]
    cells = np.empty(value.shape, object)
    for at in np.ndindex(value.shape):
        if_so, x, y = (line[at] for line in lined)
        if isinstance(if_so, str):
            same = type(x) is type(y) and x == y and x != 0
            text = f"{_text(x)} if {if_so} else {_text(y)}"
            cells[at] = x if same else tape.write(text, (if_so, x, y))
        else:
            cells[at] = x if if_so else y
    return Traced(tape, value, cells)


def _select(conditions: list[Any], choices: list[Any], default: Any = 0) -> Any:
    result = default
    for condition, choice in zip(reversed(conditions), reversed(choices)):
        result = np.where(condition, choice, result)
    return result


def _einsum(form: str, a: Any, b: Any) -> Any:
    """Products of vectors, summed in NumPy's own order; see `_SUMMED`."""
    if form != "...d,...d->..." or np.shape(a)[-1] not in _SUMMED:
        raise TypeError
    tape = _tape_of(a, b)
    if not all(np.asarray(getattr(x, "value", x)).flags.c_contiguous for x in (a, b)):
        raise Untraceable("a product of vectors that are not in C order")
    parts = np.multiply(a, b)
    if np.result_type(a.value if isinstance(a, Traced) else a) != np.float64:
        raise TypeError
    total = parts[..., _SUMMED[parts.shape[-1]][0]]
    for k in _SUMMED[parts.shape[-1]][1:]:
        total = total + parts[..., k]
    return tape.lift(total)


_ORDERS: dict[int, list[tuple[int, ...]]] = {2: [(0, 1)], 3: [(0, 1, 2), (0, 2, 1), (1, 2, 0)]}


def _orders() -> dict[int, tuple[int, ...]]:
    """In which order einsum adds two or three products here: it depends on the processor."""
    found, rng = {}, np.random.default_rng(0)
    for width, orders in _ORDERS.items():
        x = rng.normal(size=(1000, width))
        whole, parts = np.einsum("...d,...d->...", x, x), x * x
        for order in orders:
            total = parts[:, order[0]]
            for k in order[1:]:
                total = total + parts[:, k]
            if np.array_equal(total, whole):
                found[width] = order
                break
    return found


_SUMMED = _orders()


def _clip(a: Any, low: Any, high: Any) -> Any:
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _count_nonzero(a: Any) -> Any:
    return a.astype(bool).astype(int).sum()


def _blank(like: Any, shape: Any = None, dtype: Any = None, fill: float = 0.0) -> Traced:
    shape = like.shape if shape is None else shape
    return _tape_of(like).constant(np.full(shape, fill, dtype or like.dtype))


_FUNCTIONS: dict[Any, Any] = {
    np.where: _where,
    np.select: _select,
    np.einsum: _einsum,
    np.clip: _clip,
    np.count_nonzero: _count_nonzero,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.sum: lambda a, axis=None, keepdims=False: a.sum(axis, keepdims),
    np.mean: lambda a, axis=None, keepdims=False: a.mean(axis, keepdims),
    np.max: lambda a, axis=None, keepdims=False: a.max(axis, keepdims),
    np.min: lambda a, axis=None, keepdims=False: a.min(axis, keepdims),
    np.any: lambda a, axis=None, keepdims=False: a.any(axis, keepdims),
    np.all: lambda a, axis=None, keepdims=False: a.all(axis, keepdims),
    np.zeros_like: _blank,
    np.empty_like: _blank,
    np.ones_like: lambda like, shape=None, dtype=None: _blank(like, shape, dtype, 1.0),
}
