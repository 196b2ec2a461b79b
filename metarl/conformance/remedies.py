"""What to do where a check fails: one sentence each, which `metarl check` and docs/checks.md show."""

from __future__ import annotations

from collections.abc import Mapping

BUILT = "the family is built"
PAGE = "docs/checks.md"
REMEDIES = {
    BUILT: "Let the constructor return at once, and load what is slow in models().",
    "tasks are declared": "Give every field of the task dataclass varies(unit, low, high, hidden=...), and let"
    " sample() stay within these ranges in every split.",
    "models compile within 1 s": "Use primitive shapes, or meshes with fewer faces; load files once.",
    "models share one interface": "Let observe() give the same blocks, as wide, for every model, and"
    " action_dim() the same number.",
    "weights cover the terms": "Name in weights exactly what terms() returns, and return (N,) for each.",
    "success, failure and score are in shape": "Return one bool a world from success() and failure(), and a"
    " score from 0 to 1.",
    "captions are lines": "Return a list of N strings without line breaks from caption().",
    "splits are disjoint": "Draw train, test and far from ranges or cells that do not overlap, and let"
    " in_split() say the same; same_test = True says that there is no held-out split.",
    "observations are finite and bounded": "Divide by the scale that a quantity has, so that columns lie"
    " around -1 to 1, and let nothing divide by zero.",
    "observations hold no hidden field": "Leave out of observe() what a hidden field decides at the start;"
    " what actions reveal of it may be seen.",
    "no observation is constant": "Leave the column out, or make it move.",
    "observations share no memory": "Return new arrays from observe(): copy() what is a view of the worlds.",
    "same seed, same trajectory": "Draw from the rng that is passed in, never from numpy.random, and from"
    " no clock.",
    "1 and 2 threads are bit-identical": "Keep nothing on the family that one world writes and another reads.",
    "1 and N worlds are bit-identical": "Compute row by row: no sum, mean or sort over worlds.",
    "each task has its own stream": "Draw with rng.uniform(low, high), without numbers of rows, in the same"
    " order for every task.",
    "two resets differ": "Draw where an episode begins from rng in reset(); an environment of others draws from"
    " the seed of its reset().",
    "no task leaves a trace": "Set in reset() and configure() everything that a task changes, also what it"
    " does not use.",
    "a saved state continues bit-identically": "Keep what an episode remembers in worlds.userdata, not on"
    " the family.",
    "bad actions are refused": "Do not change the action in place in act(), and do not catch what the worlds raise.",
    "a diverged world harms no other": "Compute row by row in advance(), observe() and terms(): a number that is not finite in one row must not reach another by a sum or a mean.",
    "every action matters": "Use every action, or name those that do nothing here in idle_actions.",
    "random actions fail": "Ask for more, or for longer: chance must not solve the task.",
    "standing still fails": "Begin further from the goal: doing nothing must not solve the task.",
    "the expert succeeds": "Mend hand_expert() or expert(), or what success() asks: a task that its own"
    " script cannot solve is too hard.",
    "success is within reach": "Write an expert, or begin nearer to the goal, so that it can be shown.",
    "Gymnasium accepts it": "Look at the message: it is gymnasium's own check_env.",
    "Stable-Baselines3 accepts it": "Look at the message: it is stable_baselines3's own check_env.",
    "pictures are observed": "Name cameras that every model has in cameras.",
}  # fmt: skip


def place_of(check: str) -> str:
    """Where the page tells of a check."""
    kept = "".join(letter for letter in check.lower() if letter.isalnum() or letter in " -")
    return f"{PAGE}#{kept.replace(' ', '-')}"


def page(checks: Mapping[str, object]) -> str:
    """Write docs/checks.md from what the checks say of themselves.

    Args:
        checks: As `metarl.conformance.runner.checks` gives them.
    """
    lines = [
        "# What `metarl check` asks",
        "",
        "`metarl check my/family` asks all of the questions below. Each has one of four answers:",
        "",
        "- *pass*: it holds.",
        "- *FAIL*: it does not. The row says what was found, and the end of the output what to do.",
        "- *skip*: the family has nothing to check here.",
        "- *not shown*: the check could not find out.",
        "",
        "In Python: `metarl.conformance.runner.check_family`.",
        "",
        "This page is `metarl.conformance.remedies.page(metarl.conformance.runner.checks())`.",
    ]
    for name, check in checks.items():
        doc = " ".join((check.__doc__ or "").split())
        lines += ["", f"## {name}", "", doc, "", f"*If it fails:* {REMEDIES[name]}"]
    return "\n".join(lines)
