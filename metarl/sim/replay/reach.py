"""What some code can reach by the names that stand in it, and what must hold for it to be the same."""

from __future__ import annotations

import contextlib
import enum
import functools
import re
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator
from keyword import iskeyword
from typing import Any, NamedTuple

import mujoco
import numpy as np

from metarl.sim.replay.tape import Untraceable
from metarl.sim.replay.traced import Traced

MOST_CONDITIONS = 1000
MOST_BYTES = 2**16  # of arrays; a microsecond for each 20 kB

Codes = dict[types.CodeType, dict[str, Any]]  # with the globals with which it ran

# Packages whose code and constants stay as they are.
_FIXED = {*sys.stdlib_module_names, "numpy", "mujoco"}
_OURS = ("metarl.sim.", "metarl.types", "metarl.errors")
_PLAIN = (
    int, float, complex, str, bytes, type(None), type(...), type(NotImplemented), range, slice,
    np.generic, np.dtype, np.ufunc, re.Pattern, enum.Enum, types.CodeType, types.BuiltinFunctionType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
    types.MethodDescriptorType, types.MethodWrapperType, types.ClassMethodDescriptorType,
)  # fmt: skip
_ARRAYS = (np.ndarray, bytearray, memoryview)
_MAPPINGS = (dict, types.MappingProxyType)
# With these an attribute may be read whose name does not stand in the code.
_BY_ANY_NAME = {"getattr", "vars", "__dict__", "attrgetter", "asdict", "astuple", "fields", "dir"}
_KINDS = {
    "body", "joint", "jnt", "geom", "site", "actuator", "sensor", "tendon", "camera", "cam", "light",
    "dof", "eq", "equality", "pair", "mat", "material", "mesh", "tex", "texture", "hfield", "numeric",
}  # fmt: skip


class Condition(NamedTuple):
    """Lines of a function that gives False where something has changed, and what that is."""

    lines: list[str]
    what: str


class Reach:
    """What can be reached by the names in some code, and the conditions under which it is the same.

    Args:
        codes: The code.
    """

    def __init__(self, codes: Codes):
        self._codes = codes
        self.names = {name for code in codes for name in code.co_names}
        reads = [code for code, found in codes.items() if not _stays(found.get("__name__") or "")]
        self._any_name = any(_BY_ANY_NAME & {*code.co_names} for code in reads)
        if self._any_name:
            self.names |= {x for code in reads for x in code.co_consts if isinstance(x, str)}
        self.things: dict[str, Any] = {}  # by the texts that stand for them in conditions
        self.conditions: list[Condition] = []
        self.arrays: list[tuple[Any, str, bytes]] = []  # with what they are and what they hold
        self.moves = False  # whether physics may write some of them
        self._bytes = 0
        self._met: dict[int, Any] = {}
        self._ran: set[types.CodeType] = set()

    def walk(self, root: Any, what: str) -> None:
        """Go everywhere from somewhere."""
        queue = deque([(root, what)])
        while queue:
            thing, what = queue.popleft()
            if id(thing) not in self._met and not isinstance(thing, _PLAIN):
                self._met[id(thing)] = thing
                queue.extend(self._parts(thing, what))

    def walk_rest(self) -> None:
        """Go where code reads whose function was not found on the way."""
        while rest := [code for code in self._codes if code not in self._ran]:
            self._ran.update(rest)
            for code in rest:
                for part, what in self._globals(code, self._codes[code]):
                    self.walk(part, what)

    def _parts(self, thing: Any, what: str) -> Iterator[tuple[Any, str]]:
        """What a thing is made of; conditions are noted."""
        if isinstance(thing, types.ModuleType):
            if not _stays(thing.__name__):
                found = sorted(self.names & vars(thing).keys())
                yield from self._bound(thing, {name: vars(thing)[name] for name in found}, what)
        elif isinstance(thing, types.FunctionType):
            yield from self._function(thing)
        elif isinstance(thing, type):
            yield from self._class(thing)
        elif isinstance(thing, mujoco.MjModel):
            self._model(thing, what)
        elif type(thing) is Traced:
            raise Untraceable(f"{what} keeps what it was given")
        elif isinstance(thing, _ARRAYS):
            self.moves |= _moves(thing)
            self._array(thing, what)
        elif (inner := _wrapped(thing)) is not None:
            yield from ((part, what) for part in inner)
        elif (
            not _stays(type(thing).__module__) or type(thing).__module__ in sys.stdlib_module_names
        ):
            yield from self._container(thing, what)
            yield from self._instance(thing, what)

    # Kinds of things --------------------------------------------------------------------

    def _function(self, f: types.FunctionType) -> Iterator[tuple[Any, str]]:
        if f.__code__ not in self._codes:
            return
        self._ran.add(f.__code__)
        what = f"{f.__module__}.{f.__qualname__}"
        parts = {name: getattr(f, name) for name in ("__code__", "__defaults__", "__kwdefaults__")}
        yield from self._bound(f, {k: x for k, x in parts.items() if x is not None}, what)
        for cell in f.__closure__ or ():
            with contextlib.suppress(ValueError):  # an empty one
                yield from self._bound(cell, {"cell_contents": cell.cell_contents}, what)
        yield from self._globals(f.__code__, f.__globals__)

    def _globals(self, code: types.CodeType, found: dict[str, Any]) -> Iterator[tuple[Any, str]]:
        name = found.get("__name__") or ""
        if _stays(name):
            return
        mentioned = {*_mentioned(code)}
        bound = {name: found[name] for name in sorted(mentioned & found.keys())}
        module = sys.modules.get(name)
        if module is not None and vars(module) is found:
            yield from self._bound(module, bound, name)
        else:
            yield from self._items(found, bound, name)
        for name in sorted(mentioned & sys.modules.keys()):  # imported where it is needed
            yield sys.modules[name], name

    def _class(self, cls: type) -> Iterator[tuple[Any, str]]:
        if _stays(cls.__module__) or issubclass(cls, enum.Enum):
            return
        owners = [owner for owner in cls.__mro__ if not _stays(owner.__module__)]
        unnamed = {
            name for owner in owners for name, x in vars(owner).items()
            if name.startswith("__") and getattr(x, "__code__", None) in self._codes
        }  # fmt: skip
        what = f"{cls.__module__}.{cls.__qualname__}"
        for name in sorted({name for name in self.names if name[:2] != "__"} | unnamed):
            raw = _lookup(cls, name, owners)
            if raw is None:
                continue
            got = getattr(cls, name, None)
            if isinstance(raw, classmethod):
                yield from self._bound(cls, {f"{name}.__func__": raw.__func__}, what)
            elif isinstance(raw, staticmethod) or got is raw:
                yield from self._bound(cls, {name: got}, what)
            else:
                found = f"{self.name(_lookup)}({self.name(cls)}, {name!r})"
                test = f"if {found} is not {self.name(raw)}: return False"
                self._note([test], f"{what}.{name}")
                yield raw, f"{what}.{name}"

    def _instance(self, thing: Any, what: str) -> Iterator[tuple[Any, str]]:
        cls = type(thing)
        if hasattr(cls, "__array__") or hasattr(cls, "__dlpack__"):
            raise Untraceable(f"{what} is a {cls.__name__}, whose changes cannot be seen")
        yield cls, what
        own = getattr(thing, "__dict__", None)
        if own is not None:
            names = own if self._any_name else sorted(self.names & own.keys())
            hidden = {n for n in names if hasattr(getattr(cls, n, None), "__set__")}
            yield from self._bound(thing, {n: own[n] for n in names if n not in hidden}, what)
            yield from self._items(own, {n: own[n] for n in hidden}, what)
            if self.names & vars(cls).keys():  # one of its own may come to hide a method
                test = f"if len({self.name(thing)}.__dict__) != {len(own)}: return False"
                self._note([test], f"an attribute of {what}")
        slots = {
            name for owner in cls.__mro__ for name, x in vars(owner).items()
            if isinstance(x, types.MemberDescriptorType) and name in self.names
        }  # fmt: skip
        found = {name: getattr(thing, name) for name in sorted(slots) if hasattr(thing, name)}
        yield from self._bound(thing, found, what)

    def _container(self, thing: Any, what: str) -> Iterator[tuple[Any, str]]:
        said, name = f"an item of {what}", self.name(thing)
        if isinstance(thing, (list, deque)):
            self._sequence(list(thing), name, said)
        elif isinstance(thing, _MAPPINGS):
            self._sequence(list(thing.values()), f"{name}.values()", said)
            self._sequence(list(thing), name, said)
            yield from ((part, said) for part in thing.values())
        elif isinstance(thing, set):
            self._note([f"if {name} != {self.name(set(thing))}: return False"], said)
        if isinstance(thing, (list, deque, tuple, set, frozenset, *_MAPPINGS)):
            yield from ((part, said) for part in thing)

    def _array(self, array: Any, what: str) -> None:
        if isinstance(array, np.ndarray):
            if array.dtype.hasobject:
                raise Untraceable(f"{what} is an array of objects, whose changes cannot be seen")
            if _is_frozen(array) or not array.size:
                return
        self._bytes += memoryview(array).nbytes
        if self._bytes > MOST_BYTES:
            raise Untraceable(
                f"{what} and others are arrays of more than {MOST_BYTES} bytes that may change;"
                " array.setflags(write=False) says that they do not"
            )
        self.arrays.append((array, what, memoryview(array).tobytes()))

    def _model(self, model: Any, what: str) -> None:
        """Fields of the model, by their own names, or by a kind of object and a name."""
        for name, values in _fields(model, self.names).items():
            owner, _, field = name.rpartition(".")
            if isinstance(values, np.ndarray):
                self._array(values, f"{what}.{name}")
            else:
                thing = self.name(getattr(model, owner) if owner else model)
                test = f"if {thing}.{field} != {self.name(values)}: return False"
                self._note([test], f"{what}.{name}")

    # Conditions -------------------------------------------------------------------------

    def _bound(self, holder: Any, parts: dict[str, Any], what: str) -> Iterator[tuple[Any, str]]:
        """Attributes, by identity."""
        for name, part in parts.items():
            said = f"{what}.{name}"
            path = f"{self.name(holder)}.{name}"
            if not all(word.isidentifier() and not iskeyword(word) for word in name.split(".")):
                path = f"getattr({self.name(holder)}, {name!r})"  # set by setattr, or by a tool
            self._note([f"if {path} is not {self.name(part)}: return False"], said)
            yield part, said

    def _items(self, holder: Any, parts: dict[str, Any], what: str) -> Iterator[tuple[Any, str]]:
        """Items of a dictionary, by identity."""
        for name, part in parts.items():
            said = f"{what}.{name}"
            test = f"if {self.name(holder)}[{name!r}] is not {self.name(part)}: return False"
            self._note([test], said)
            yield part, said

    def _sequence(self, parts: list[Any], expression: str, said: str) -> None:
        """All items in turn, by identity."""
        items = ", ".join(f"x{k}" for k in range(len(parts)))
        same = " or ".join(f"x{k} is not {self.name(x)}" for k, x in enumerate(parts))
        self._note([f"[{items}] = {expression}", f"if {same or False}: return False"], said)

    def _note(self, lines: list[str], what: str) -> None:
        self.conditions.append(Condition(lines, what))
        if len(self.conditions) > MOST_CONDITIONS:
            raise Untraceable(f"it reads more than {MOST_CONDITIONS} things that may change")

    def name(self, thing: Any) -> str:
        """A text that stands for something in conditions, of whomever."""
        text = f"\0{id(thing)}"
        self.things[text] = thing
        return repr(text)


def is_fixed(module: str) -> bool:
    """Whether a module belongs to a package whose code stays as it is."""
    return module.partition(".")[0] in _FIXED


def _stays(module: str) -> bool:
    """Whether what stands in a module is taken to stay as it is."""
    return is_fixed(module) or module.startswith(_OURS)


def _mentioned(code: types.CodeType) -> Iterator[str]:
    """Every name that some code mentions, with those of the functions within."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _mentioned(part)


def _wrapped(thing: Any) -> tuple[Any, ...] | None:
    """What a wrapper of functions holds."""
    if isinstance(thing, types.MethodType):
        return thing.__func__, thing.__self__
    if isinstance(thing, (staticmethod, classmethod)):
        return (thing.__func__,)
    if isinstance(thing, property):
        return (thing.fget,)
    if isinstance(thing, functools.cached_property):
        return (thing.func,)
    if isinstance(thing, functools.partial):
        return thing.func, thing.args, thing.keywords
    if isinstance(thing, functools._lru_cache_wrapper):
        return (thing.__wrapped__,)
    return None


def _lookup(cls: type, name: str, owners: Iterable[type] = ()) -> Any:
    """What stands under a name in a class or its bases (only some of them), as it stands there."""
    for owner in cls.__mro__:
        if name in vars(owner):
            return vars(owner)[name] if not owners or owner in owners else None
    return None


def _is_frozen(array: Any) -> bool:
    """Whether an array was made read-only, with all the memory that it looks at."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None or isinstance(array, bytes)


def _moves(array: Any) -> bool:
    """Whether the memory that an array looks at may be a batch's: it is nobody's that is known."""
    while isinstance(array, np.ndarray):
        if array.flags.owndata:
            return False
        array = array.base
    return not isinstance(array, bytes | bytearray)


def _fields(model: mujoco.MjModel, names: set[str]) -> dict[str, Any]:
    """The fields of a model that code with some names may read."""
    found = {}
    for field in dir(model):
        rest = field.partition("_")[2]
        named = field in names or (rest in names and names & _KINDS)
        if named and isinstance(value := getattr(model, field), (np.ndarray, int, float)):
            found[field] = value
    for owner in ("opt", "stat"):
        part = getattr(model, owner)
        for field in dir(part) if owner in names else ():
            if field in names and isinstance(
                value := getattr(part, field), (np.ndarray, int, float)
            ):
                found[f"{owner}.{field}"] = value
    return found
