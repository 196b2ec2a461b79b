"""`metarl train` and `metarl adapt`: names are checked before anything slow is loaded."""

from __future__ import annotations

from pathlib import Path

from metarl.commands.output import progress_bar, say
from metarl.commands.policies import tell_changes
from metarl.errors import ConfigError, UnknownNameError
from metarl.machine import require_worlds_fit
from metarl.methods import method_names, strategy_names, training_names
from metarl.registry import family_class, make_family, slug
from metarl.runs.shipped import find_checkpoint
from metarl.types import Split


def train(
    family: str,
    method: str,
    *,
    seed: int | None,
    max_seconds: float | None,
    iterations: int | None,
    out: Path | None,
    resume: bool,
    backend: str | None,
    device: str | None,
    start: Path | None,
    strict: bool,
    set: tuple[str, ...],
) -> int:
    """Train a policy on a family's training tasks.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown, a value out of range, or training cannot go on.
    """
    family_class(family)
    if start is not None:
        start = find_checkpoint(start, family)
    if method not in (names := training_names()):
        if method in strategy_names():
            raise ConfigError(
                f"{method} trains nothing, it adapts what others trained: metarl adapt CHECKPOINT"
                f" {family} --strategy {method}; to train, choose one of {', '.join(names)}"
            )
        raise UnknownNameError("method", method, names)
    from metarl.learn.train import parse_settings
    from metarl.learn.train import train as train_policy
    from metarl.runs.config import CONFIG_FILE

    folder = out or default_folder(family, method, seed or 0)
    if resume and not (folder / CONFIG_FILE).exists():
        say(f"no run in {folder} to go on with; starting one")
    elif resume and start is not None:
        say(f"{folder} goes on from its own checkpoint; --from {start} plays no part any more")
    _tell_changes(folder, resume, start, family, strict=strict)
    written = train_policy(
        family,
        method,
        seed=seed,
        max_seconds=max_seconds,
        iterations=iterations,
        out=folder,
        resume=resume,
        backend=backend,
        device=device,
        start=start,
        **parse_settings(set),
    )
    say(f"wrote {written}")
    return 0


def _tell_changes(
    folder: Path, resume: bool, start: Path | None, family: str, *, strict: bool
) -> None:
    """Say if what a training begins with was trained on a family that has changed since."""
    from metarl.runs.policies import read_checkpoint
    from metarl.runs.run import latest_checkpoint

    latest = latest_checkpoint(folder) if resume else None
    if latest is not None:
        tell_changes(latest[1], make_family(family), strict=strict)
    elif start is not None:
        tell_changes(read_checkpoint(start), make_family(family), strict=strict)


def default_folder(family: str, method: str, seed: int) -> Path:
    """Name a run's folder, for example ``runs/kitchen-season-maml-s0``."""
    return Path("runs") / f"{slug(family)}-{method}-s{seed}"


def adapt(
    checkpoint: Path,
    family: str,
    *,
    updates: int,
    episodes: int,
    num_tasks: int,
    eval_episodes: int,
    seed: int,
    strategy: str | None,
    set: tuple[str, ...],
    split: Split,
    film: Path | None,
    overwrite: bool,
    strict: bool = False,
) -> int:
    """Adapt a trained policy to tasks it has not seen, and print how well it then does.

    With ``film``, the first task is filmed before and after; ``overwrite`` says whether over a film
    that is there.

    Returns:
        The exit status.
    Raises:
        MetaRLError: If a name is unknown or the checkpoint does not load.
    """
    if strategy is not None and strategy not in (names := method_names()):
        raise UnknownNameError("strategy", strategy, names)
    num_worlds = num_tasks * max(episodes, eval_episodes)
    asked = f"--num-tasks {num_tasks} of {max(episodes, eval_episodes)} episodes"
    require_worlds_fit(num_worlds, family_class(family).horizon, asked)
    checkpoint = find_checkpoint(checkpoint, family)
    if film is not None:
        from metarl.report.before_after import check_before_after

        check_before_after(film, overwrite=overwrite)
    from metarl.adapt.adaptation import State
    from metarl.adapt.evaluate import evaluate_adaptation, settings_of
    from metarl.adapt.protocol import Protocol
    from metarl.learn.train import parse_settings
    from metarl.methods import choose_adapting
    from metarl.runs.policies import read_checkpoint

    found = read_checkpoint(checkpoint)
    method = choose_adapting(found.meta, strategy)
    settings = settings_of(method, parse_settings(set))
    protocol = Protocol(
        num_tasks=num_tasks, episodes=episodes, updates=updates, eval_episodes=eval_episodes,
        seed=seed, split=split,
    )  # fmt: skip
    made, keep = make_family(family), list[State]()
    tell_changes(found, made, strict=strict)
    with progress_bar("adapting") as progress:
        result = evaluate_adaptation(
            made, method, found, protocol, settings=settings, progress=progress, keep=keep
        )
    say(str(result))
    if film is not None:
        from metarl.report.before_after import film_adaptation, lapse

        times = lapse(made)
        pace = f", {times} times as fast as life" if times > 1 else ""
        written = film_adaptation(made, method, found, protocol, keep, film, settings=settings)
        say(f"wrote {written}{pace}")
    return 0
