"""Which OpenGL draws the pictures, chosen before MuJoCo is imported; nothing heavy is here."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
import warnings
from typing import Any

from metarl.errors import RenderError

INSTALL = "on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri"
BACKENDS = ("egl", "glfw", "osmesa")
_LINUX_VALUES = (*BACKENDS, "glx", "enable", "enabled", "on", "true", "1")
_OFF = ("disable", "disabled", "off", "false", "0")
_REMEDIES = {"egl": INSTALL, "osmesa": f"unset MUJOCO_GL; {INSTALL}"}
_NEEDS = {"egl": (("EGL",), ("OpenGL", "GL")), "osmesa": (("OSMesa",),)}


class _Choice:
    problem = ""  # why nothing can be drawn, "" if nothing is known against it
    process = 0  # which has opened a drawing context
    by_user = False  # whether MUJOCO_GL said how to draw


def has_display() -> bool:
    """Whether there is a screen on which a window could open."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def display_answers() -> bool:
    """Whether a window can be opened: MuJoCo's own ends the process where none can."""
    if not has_display():
        return False
    import glfw

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it would warn of is the answer
        return bool(glfw.init())


def choose_gl() -> None:
    """Let MuJoCo draw without a display, and import where nothing can be drawn at all.

    MuJoCo reads ``MUJOCO_GL`` once, when it is first imported; an unknown value, or one whose
    library is absent, would make that import fail. Then drawing is switched off here, and the
    first picture asked for says why.
    """
    if sys.platform != "linux":
        return
    value = os.environ.get("MUJOCO_GL", "").lower().strip()
    _Choice.by_user = bool(value)
    if value in _OFF:
        _Choice.problem = _Choice.problem or f"MUJOCO_GL={value} switches drawing off; unset it"
        return
    if not value:
        if has_display():
            return
        value = os.environ["MUJOCO_GL"] = "egl"
    _Choice.problem = _problem(value)
    if _Choice.problem:
        os.environ["MUJOCO_GL"] = "disable"


def _problem(value: str) -> str:
    if value not in _LINUX_VALUES:
        return f"MUJOCO_GL={value!r} names no way to draw; valid: {', '.join(BACKENDS)}, or unset"
    for names in _NEEDS.get(value, ()):
        if not any(_loads(name) for name in names):
            missing = " or ".join(f"lib{name}" for name in names)
            return f"{missing} is missing; {_REMEDIES[value]}"
    return ""


def _loads(name: str) -> bool:
    for suffix in (".1", ".0", "", *(f".{i}" for i in range(2, 10))):
        with contextlib.suppress(OSError):
            ctypes.CDLL(f"lib{name}.so{suffix}")
            return True
    return False


def load_triton_first() -> None:
    """Load triton, where it is installed, before the graphics driver.

    Software drivers bring their own LLVM. If triton's is loaded after it, as the first torch
    optimiser does, the two are mixed up and the process dies of a segmentation fault.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")


def prepare_gl() -> None:
    """Get ready to open a drawing context.

    Raises:
        RenderError: If it is known that nothing can be drawn; the message names the remedy.
    """
    if _Choice.problem:
        raise RenderError(f"no picture can be drawn: {_Choice.problem}")
    if _Choice.process not in (0, os.getpid()):
        raise forked_error()
    _Choice.process = os.getpid()
    load_triton_first()
    # Before the first attempt: MuJoCo's libraries do not survive a second one after a failure.
    if sys.platform == "linux" and not os.environ.get("MUJOCO_GL") and not display_answers():
        without = [name for name in ("egl", "osmesa") if not _problem(name)]
        if not without:
            where = f"the display {os.environ.get('DISPLAY')!r} does not answer" * has_display()
            raise RenderError(f"no picture can be drawn: {where or 'no display'}; {INSTALL}")
        os.environ["MUJOCO_GL"] = without[0]
    if (value := os.environ.get("MUJOCO_GL")) in ("egl", "osmesa"):
        _use(value)


def _use(name: str) -> None:
    # When mujoco was imported, it has settled on a backend, perhaps one that needs a display.
    try:
        context = importlib.import_module(f"mujoco.{name}").GLContext
    except Exception as error:  # PyOpenGL raises whatever its loaders do
        raise gl_error(error) from error
    gl_context: Any = importlib.import_module("mujoco.rendering.classic.gl_context")
    gl_context.GLContext = context


def forked_error() -> RenderError:
    """What is said where a forked process would draw: its drivers' threads are in the other one."""
    return RenderError(
        "this process was forked from one that had drawn, and cannot draw itself; start processes"
        " by 'spawn' or 'forkserver', or draw only after forking"
    )


def gl_error(why: object) -> RenderError:
    """Say in one line why nothing can be drawn here, and the remedy.

    Args:
        why: A reason, or what a GL backend raised.
    """
    text = " ".join(str(why).split()) or type(why).__name__
    hint = f"{INSTALL}; or choose with MUJOCO_GL={'|'.join(BACKENDS)}"
    if _Choice.by_user:
        hint = f"Unset MUJOCO_GL={os.environ.get('MUJOCO_GL')}, or {hint}"
    return RenderError(f"no picture can be drawn: {text[:200].rstrip('.')}. {hint}")
