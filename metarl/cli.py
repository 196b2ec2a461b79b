"""The command line: reading it, and telling mistakes in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import tyro

from metarl.ambient import calm_warnings
from metarl.commands import perceive
from metarl.commands.arguments import read_command, require_text
from metarl.commands.catalogue import COMMANDS, WRITE_FILES
from metarl.commands.output import answering
from metarl.commands.terminal import OutputLost, safe_output
from metarl.errors import (
    FamilyError,
    MetaRLError,
    describe,
    is_interrupt,
    printable,
    root_of_error,
    unknown,
)
from metarl.machine import out_of_memory
from metarl.rounding import same_bits


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the program's name; None: as the process was started.
    Returns:
        The exit status: 0, 1 (a check failed), 2 (a mistake of the user), 130 (interrupted).
    """
    same_bits()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with safe_output(ends=not given or given[0] not in WRITE_FILES), calm_warnings():
            return _tell_mistakes(given)
    except OutputLost as lost:  # for example `metarl families | head -1`
        if not lost.broken_pipe:
            print(f"metarl: cannot print: {lost.reason}", file=sys.stderr)
        return 141 if lost.broken_pipe else 2


def _tell_mistakes(given: list[str]) -> int:
    """Run a command; what the user or the machine did wrong is told in one line."""
    try:
        return _run(given)
    except MetaRLError as error:
        told = str(error)
    except OSError as error:  # a folder without permission, a name too long, a disk that is full
        told = f"{error.filename or 'the system'}: {error.strerror or error}"
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        told = "out of memory; ask for fewer worlds, tasks or episodes, or smaller networks"
    except KeyboardInterrupt:
        return 130
    print(f"metarl: {printable(' '.join(told.split()))}", file=sys.stderr)
    return 2


def _obeyed(command: Any) -> int:
    """Run a command; no code from outside may end it as if all were well.

    Raises:
        FamilyError: If a plug-in raises, or calls ``sys.exit``, where nothing else names it.
    """
    try:
        with answering(getattr(command, "json", False)):
            return command.run()
    except BaseException as error:
        if isinstance(error, MetaRLError | OSError | MemoryError) or is_interrupt(error):
            raise
        from metarl import methods, plugins, registry

        root = plugins.stranger_in(error, registry.GROUP, methods.GROUP)
        if isinstance(error, SystemExit):
            root = root or root_of_error(error)
        if not root:  # a mistake of ours
            raise
        raise FamilyError(f"package {root} raised {describe(error, root)}") from error


def _run(given: list[str]) -> int:
    require_text(given)
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        raise MetaRLError(unknown("command", given[0], COMMANDS))
    if any(":" in word for word in given):
        sys.path.append(os.getcwd())  # module:name may name a module in this folder
    if given[:1] == ["perceive"] and len(given) > 1:
        _, name, *words = given
        if name in perceive.COMMANDS:
            return _obeyed(read_command(perceive.COMMANDS[name], f"metarl perceive {name}", words))
        if not name.startswith("-"):
            raise MetaRLError(unknown("command of metarl perceive", name, perceive.COMMANDS))
    if given and given[0] in COMMANDS:
        name, *words = given
        return _obeyed(read_command(COMMANDS[name], f"metarl {name}", words))
    if given and given[0] not in ("--help", "-h") and not given[0].startswith("--tyro-"):
        raise MetaRLError(unknown("option", given[0], ("--help",)))
    about = "Meta-learning and robot skill transfer on batched MuJoCo task families."
    commands = dict[str, Callable[..., Any]](COMMANDS)
    if given and given[0].startswith("--tyro-"):
        commands["perceive"] = perceive.completed  # else what stands behind it is not completed
    tyro.extras.subcommand_cli_from_dict(
        commands, prog="metarl", description=about, args=given or ["--help"]
    )
    return 0
