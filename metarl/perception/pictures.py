"""Rendered pictures whose content is known, drawn from a scene that a package supplies."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from types import TracebackType
from typing import Any, ClassVar, Protocol, TypeVar

import mujoco
import numpy as np

from metarl.errors import ConfigError, FamilyError, UnknownNameError
from metarl.film.render import Renderer
from metarl.machine import require_memory
from metarl.names import split_name
from metarl.sim.models import compile_model, load_spec
from metarl.types import take

Progress = Callable[[int, int], None]  # (done, total)


class PictureScene(Protocol):
    """What a package supplies so that pictures of its things can be drawn.

    It may also have ``options``, a mapping of names to the words that each may have, which are given to
    it by keyword where its name ends in ``@NAME=VALUE,...``; and ``measures(rows)``, further numbers
    that a picture can be asked for, by name, each of shape (n,).

    Attributes:
        classes: What can be in a picture; a label indexes this.
        camera: Name of the camera that takes the pictures.
    """

    classes: ClassVar[tuple[str, ...]]
    camera: ClassVar[str]

    def spec(self) -> Any:
        """Build the model: an MjSpec or MJCF text."""

    def sample(self, rng: np.random.Generator, n: int) -> Any:
        """Draw n pictures' contents: a frozen dataclass of arrays with n rows.

        Its fields ``label`` (index into `classes`, int) and ``doneness`` (0 raw to 1 burnt)
        are what there is to learn; the others say how it looks: pose, size, light, camera.
        """

    def apply(self, model: Any, data: Any, row: Any) -> None:
        """Make the model look like one row and bring `data` up to date."""


SceneType = TypeVar("SceneType", bound=type)
SCENES: dict[str, Any] = {}  # classes of `PictureScene`


def register_scene(name: str) -> Callable[[SceneType], SceneType]:
    """Register a scene class under a name; to be used as a decorator.

    Args:
        name: ``package/thing``, kebab-case.
    Returns:
        The decorator.
    Raises:
        FamilyError: If another class has the name; the message names both modules.
    """

    def register(scene: SceneType) -> SceneType:
        known = SCENES.get(name)
        if known is not None and origin(known) != origin(scene):
            raise FamilyError(f"two scenes are called {name!r}: {origin(known)}, {origin(scene)}")
        SCENES[name] = scene
        return scene

    return register


def origin(scene: type) -> str:
    """Say where a class comes from, as module and class name."""
    return f"{scene.__module__}.{scene.__qualname__}"


def get_scene(name: str) -> PictureScene:
    """Find a scene by name and build it.

    Args:
        name: A registered name such as ``kitchen/ingredients``, with options such as
            ``kitchen/ingredients@shift=light``; or ``module:name`` for a scene that no installed
            package announces.
    Returns:
        A new scene.
    Raises:
        UnknownNameError: If there is no such scene, option or value; the message lists the valid
            names, and the packages that could not be imported.
        ConfigError: If an option is not ``NAME=VALUE``, or stands there twice.
    """
    module, _, named = name.rpartition(":")
    wanted, options = split_name(named)
    if wanted not in SCENES:
        broken = load_modules([module] if module else announced_modules())
        if wanted not in SCENES:
            raise UnknownNameError("picture scene", wanted, [*SCENES, *broken])
    valid: Mapping[str, tuple[str, ...]] = getattr(SCENES[wanted], "options", {})
    for option, value in options.items():
        if option not in valid:
            raise UnknownNameError(f"option of {wanted}", option, valid)
        if value not in valid[option]:
            raise UnknownNameError(f"{option} of {wanted}", value, valid[option])
    return SCENES[wanted](**options)


def announced_modules() -> list[str]:
    """List the modules of the entry-point group ``metarl.families``."""
    return sorted(entry.value for entry in metadata.entry_points(group="metarl.families"))


def load_modules(modules: list[str]) -> list[str]:
    """Import modules for what they register; a broken one does not stop the others.

    Args:
        modules: Module names.
    Returns:
        One line per module that failed.
    """
    broken = []
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a stranger's package raises
            broken.append(f"(package {module} is broken: {type(error).__name__}: {error})")
    return broken


@dataclass(frozen=True)
class Pictures:
    """Pictures and what is in them.

    Attributes:
        pixels: Shape (n, size, size, 3), uint8, RGB.
        label: Index into the scene's classes, shape (n,), int64.
        doneness: 0 raw to 1 burnt, shape (n,), float32.
        measures: Every number that a picture can be asked for, by name, doneness among them, each of
            shape (n,), float32.
    """

    pixels: np.ndarray
    label: np.ndarray
    doneness: np.ndarray
    measures: Mapping[str, np.ndarray]


class Studio:
    """Hold one scene's model and renderer; a context manager.

    Args:
        scene: What to photograph.
        size: Width and height of a picture [pixels].
    Raises:
        SimulationError: If the scene's model does not compile.
        RenderError: If there is no way to draw here; the message names the remedy.
    """

    def __init__(self, scene: PictureScene, size: int = 64):
        require_positive(size=size)
        self.scene = scene
        self.model = compile_fast(scene)
        self.data = mujoco.MjData(self.model)
        self.renderer = Renderer(self.model, size, size, scene.camera, film=False)

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.renderer.close()

    def shoot(self, row: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Draw one picture.

        Args:
            row: One row of the scene's `sample`.
            out: Where to put it, shape (size, size, 3), uint8; None makes a new array.
        Returns:
            The picture, shape (size, size, 3), uint8.
        """
        self.scene.apply(self.model, self.data, row)
        return self.renderer.frame(self.model, self.data, out)


def draw_pictures(
    scene: PictureScene,
    n: int,
    *,
    seed: int,
    size: int = 64,
    progress: Progress | None = None,
) -> Pictures:
    """Sample and draw pictures; the same seed gives the same bytes.

    Args:
        scene: What to photograph.
        n: How many pictures.
        seed: Decides everything in them.
        size: Width and height [pixels].
        progress: Called with (done, total) after each picture.
    Returns:
        The pictures.
    Raises:
        FamilyError: If the scene samples labels or doneness out of range.
        RenderError: If there is no way to draw here.
    """
    require_positive(n=n, size=size)
    require_memory(n * size * size * 3, f"{n} pictures of {size} pixels")
    rows = scene.sample(np.random.default_rng(seed), n)
    require_valid_rows(scene, rows, n)
    pixels = np.empty((n, size, size, 3), np.uint8)
    with Studio(scene, size) as studio:
        for i in range(n):
            studio.shoot(take(rows, np.asarray(i)), out=pixels[i])
            if progress is not None:
                progress(i + 1, n)
    measures = measures_of(scene, rows, n)
    return Pictures(pixels, rows.label.astype(np.int64), measures["doneness"], measures)


def measures_of(scene: PictureScene, rows: Any, n: int) -> dict[str, np.ndarray]:
    """Every number that rows can be asked for.

    Args:
        scene: Whose rows they are.
        rows: What its `sample` gave.
        n: How many rows there are.
    Returns:
        By name, doneness first, each of shape (n,), float32.
    Raises:
        FamilyError: If the scene's own are not finite numbers, or not one a row.
    """
    measure = getattr(scene, "measures", None)
    found = {"doneness": rows.doneness, **(measure(rows) if measure is not None else {})}
    for name, values in found.items():
        values = np.asarray(values)
        if values.shape != (n,) or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise FamilyError(
                f"{origin(type(scene))}.measures gave {name} as {values.dtype} of shape"
                f" {values.shape}; expected finite floats, shape ({n},)"
            )
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def require_valid_rows(scene: PictureScene, rows: Any, n: int) -> None:
    """Check what a scene has sampled.

    Args:
        scene: The scene.
        rows: What its `sample` returned.
        n: How many rows were asked for.
    Raises:
        FamilyError: If the rows are too few or too many, or a value is out of range.
    """
    where = f"{origin(type(scene))}.sample"
    if not dataclasses.is_dataclass(rows) or isinstance(rows, type):
        raise FamilyError(f"{where} returned {type(rows).__name__}; expected a dataclass of arrays")
    arrays: dict[str, Any] = {f.name: getattr(rows, f.name) for f in dataclasses.fields(rows)}
    for name in ("label", "doneness"):
        values: Any = arrays.get(name)
        if not isinstance(values, np.ndarray) or values.ndim != 1:
            raise FamilyError(
                f"{where} returned {name} of shape {np.shape(values)}; expected an array ({n},)"
            )
    for name, values in arrays.items():
        if np.shape(values)[:1] != (n,):
            found = len(values) if np.ndim(values) else "no"
            raise FamilyError(f"{where} returned {found} rows of {name}; expected {n}")
        if np.asarray(values).dtype.kind == "f" and not np.isfinite(values).all():
            raise FamilyError(f"{where} returned {name} that is not finite")
    label, doneness = arrays["label"], arrays["doneness"]
    if label.dtype.kind not in "iu":
        raise FamilyError(f"{where} returned labels of {label.dtype}; expected integers")
    if not ((label >= 0) & (label < len(scene.classes))).all():
        raise FamilyError(f"{where} returned labels out of 0..{len(scene.classes) - 1}")
    if not ((doneness >= 0.0) & (doneness <= 1.0)).all():
        raise FamilyError(f"{where} returned doneness out of [0, 1]")


def compile_fast(scene: PictureScene) -> Any:
    """Compile a scene without shadows and multisampling, which cost 30 times the drawing.

    Args:
        scene: The scene.
    Returns:
        The MjModel.
    Raises:
        SimulationError: If the model does not compile; the message has MuJoCo's reason.
    """
    name = f"the model of {origin(type(scene))}"
    spec = load_spec(scene.spec(), name)
    spec.visual.quality.shadowsize = 0
    spec.visual.quality.offsamples = 0
    return compile_model(spec, name)


def require_positive(**numbers: int) -> None:
    """Check that numbers are whole and at least 1.

    Args:
        **numbers: The numbers by name.
    Raises:
        ConfigError: If one is not; the message has its name.
    """
    for name, number in numbers.items():
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if not whole or number < 1:
            raise ConfigError(f"{name} is {number!r}; expected a whole number, at least 1")
