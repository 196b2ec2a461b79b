"""The page of `metarl watch --web`: episodes are run first, then shown until somebody closes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metarl.commands.output import progress_bar, say
from metarl.methods import choose_adapting
from metarl.runs.signals import leave_on_signals, on_signals
from metarl.viewer import ANY, ANY_IPV6
from metarl.viewer.page import Page, Take, require_viewer
from metarl.viewer.recording import record

if TYPE_CHECKING:
    from metarl.family import TaskFamily
    from metarl.runs.checkpoint import Checkpoint
    from metarl.sim.worlds import Worlds
    from metarl.types import Act, Split


def record_episodes(
    worlds: Worlds, act: Act, policy: str, split: Split, episodes: int
) -> tuple[list[Take], str]:
    """Run episodes, each on a task of its own.

    Args:
        worlds: A single world, with its task.
        act: The policy.
        policy: How it is called.
        split: Where further tasks come from.
        episodes: How many.
    Returns:
        A take each, and the page's title.
    """
    require_viewer()
    takes = list[Take]()
    with leave_on_signals(), progress_bar("running episodes") as progress:
        for number in range(episodes):
            if number:
                worlds.assign(worlds.sample(split))
            takes.append([record(worlds, act, policy)])
            progress(number + 1, episodes)
    good = sum(bool(take[0].success[-1]) for take in takes)
    say(f"{good} of {episodes} episodes succeeded")
    return takes, f"{worlds.family.id}, {policy}"


def record_updates(
    family: TaskFamily[Any],
    checkpoint: Checkpoint,
    updates: Sequence[int],
    *,
    split: Split,
    seed: int,
    strategy: str | None,
) -> tuple[list[Take], str]:
    """Adapt to one task, and run it after some updates; arguments as for `film_updates`.

    Returns:
        One take with a side for each, and the page's title.
    """
    from metarl.adapt.evaluate import adapt_only, start_adaptation
    from metarl.adapt.protocol import Protocol, held_out_tasks
    from metarl.report.before_after import said
    from metarl.sim.kinds import make_worlds

    require_viewer()
    method = choose_adapting(checkpoint.meta, strategy)
    protocol = Protocol(num_tasks=1, updates=max(updates), eval_episodes=1, seed=seed, split=split)
    with leave_on_signals(), progress_bar("adapting") as progress:
        states = adapt_only(family, method, checkpoint, protocol, progress=progress)
        adaptation = start_adaptation(family, method, checkpoint, protocol)
        take = []
        for u in updates:
            worlds = make_worlds(family, 1, seed=protocol.seed, held_out=True)
            worlds.assign(held_out_tasks(family, protocol))
            take.append(record(worlds, adaptation.act_in(worlds, 0, states[u]), said(u)))
    for side in take:
        say(f"{side.label}: {'success' if side.success[-1] else 'failure'}")
    return [take], f"{family.id}, {method}"


def serve(takes: Sequence[Take], title: str, camera: str | int, *, host: str, port: int) -> None:
    """Show takes until a signal comes.

    Args:
        takes: What is shown.
        title: What stands above.
        camera: From which of the model's cameras the first look is.
        host: On which interface.
        port: On which port, or the next one that is free.
    """
    with on_signals() as signals:
        page = Page(takes, title, camera=camera, host=host, port=port)
        try:
            elsewhere = (
                f" (others: port {page.port} of this machine)" if host in (ANY, ANY_IPV6) else ""
            )
            say(f"open {page.url} in a browser{elsewhere}; Ctrl-C closes it")
            page.serve(lambda: signals.stop is not None)
        finally:
            page.close()
    say("closed")
