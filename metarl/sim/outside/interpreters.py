"""Interpreters that are made for somebody else's environments, apart from this one."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from metarl.errors import ConfigError, MissingDependencyError, OutputError, printable

_ASK_S = 60.0  # an interpreter says which release it has
_VENV_S = 300.0
_FETCH_S = 1800.0
_KEPT = 200  # characters of what pip says


def cache_folder() -> Path:
    """Where this user's programs keep what they can make again."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "metarl"


@dataclass(frozen=True)
class Interpreter:
    """A Python with packages that do not go with ours, in a virtual environment of its own.

    Args:
        name: One word: what is typed, and the folder in the user's cache.
        package: The package that counts.
        release: The release of it that is expected.
        more: What else has to be installed, as pip takes it.
        told: What comes along, and how much that is.
    """

    name: str
    package: str
    release: str
    more: tuple[str, ...] = ()
    told: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that names another interpreter."""
        return f"METARL_{self.name.upper()}_PYTHON"

    @property
    def folder(self) -> Path:
        """Where it is made."""
        return cache_folder() / self.name / f"{self.package}-{self.release}"

    @property
    def remedy(self) -> str:
        """What to do where it is missing."""
        return (
            f"`metarl {self.name} install` makes it, or {self.variable} names a Python that has"
            f" {self.package} {self.release}"
        )

    def path(self) -> str:
        """Find it.

        Raises:
            MissingDependencyError: If it is not there, or has another release; says what to do.
        """
        given = os.environ.get(self.variable, "")
        python = given or str(_python_in(self.folder))
        if not given and not os.path.exists(python):
            raise MissingDependencyError(
                f"{self.package} runs in an interpreter of its own, which is not there yet:"
                f" {self.remedy}"
            )
        where = f"{self.variable} is {given}" if given else f"{self.folder}"
        found = _release(python, self.package)
        if found != self.release:
            has = f"has {self.package} {found}" if _is_release(found) else f"has none: {found}"
            raise MissingDependencyError(
                f"{where}, which {has}; expected {self.package} {self.release}: {self.remedy}"
            )
        return python

    def install(self, python: Path | None, say: Callable[[str], None]) -> Path:
        """Make it; what is there and whole stays.

        Args:
            python: The Python from which it is made; None: this one.
            say: Told what is fetched, before it is.
        Returns:
            Its path.
        Raises:
            ConfigError: If the Python cannot make one, or pip cannot install into it.
            OutputError: If it cannot be written.
        """
        made = _python_in(self.folder)
        if made.exists() and _release(str(made), self.package) == self.release:
            say(f"{self.package} {self.release} is there already: {made}")
            return made
        wanted = (f"{self.package}=={self.release}", *self.more)
        base = str(python or sys.executable)
        say(
            f"fetching {' '.join(wanted)} with what these need{self.told and f' ({self.told})'}, into"
            f" {self.folder}; nothing else changes"
        )
        with self._building() as part:
            _run([base, "-m", "venv", str(part)], _VENV_S, f"{base} makes no virtual environment")
            pip = [str(_python_in(part)), "-m", "pip", "install", "--disable-pip-version-check"]
            _run([*pip, "--progress-bar", "off", *wanted], _FETCH_S, "pip does not install it")
            found = _release(str(_python_in(part)), self.package)
            if found != self.release:
                raise ConfigError(f"pip installed {self.package} {found}; expected {self.release}")
            shutil.rmtree(self.folder, ignore_errors=True)
            part.rename(self.folder)
        _release.cache_clear()
        return made

    @contextlib.contextmanager
    def _building(self) -> Iterator[Path]:
        """A folder beside the one that is made, gone afterwards unless it was renamed."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            part = Path(
                tempfile.mkdtemp(prefix=f"{self.folder.name}.part-", dir=self.folder.parent)
            )
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {error.strerror}") from error
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _python_in(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_release(found: str) -> bool:
    return found[:1].isdigit()


@functools.cache
def _release(python: str, package: str) -> str:
    """Which release of a package an interpreter has; else what it says instead."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    try:
        done = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, timeout=_ASK_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return f"it cannot be started ({getattr(error, 'strerror', None) or error})"
    except subprocess.TimeoutExpired:
        return f"it has not answered for {_ASK_S:g} s"
    if done.returncode == 0 and _is_release(done.stdout.strip()):
        return done.stdout.strip()
    return _last(done.stderr) or f"it left with status {done.returncode}"


def _last(said: str) -> str:
    """The last line of what a program said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return printable(lines[-1])[:_KEPT] if lines else ""


def _run(command: list[str], limit_s: float, fault: str) -> None:
    """Run a program that makes something.

    Raises:
        ConfigError: If it cannot be started, fails, or takes longer than its limit.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL
        )
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"{fault}: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"{fault}: it took longer than {limit_s:g} s, which is the limit"
        ) from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        said = _last("\n".join(errors)) or _last(done.stderr)
        raise ConfigError(f"{fault}: {said or f'{command[0]} left with status {done.returncode}'}")
