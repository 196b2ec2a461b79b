"""Is advice worth following? A measured transfer matrix, predicted with each target left out.

    metarl transfer-matrix ... --out matrix
    python benchmarks/advice.py --matrix matrix --ship

Every target is predicted by a model that was fitted to the transfers to all other targets, its
penalties included. Beside it stand models of the same kind that know gradient cosines alone, one that
knows no signal (the mean of each strategy), and the rule of thumb. A source that was trained on the
target itself is easily told from others, so all is judged once more without these. What the transfers'
own other seeds say of one seed is what nobody can be asked to be much ahead of. `--ship` fits all
targets and writes what `metarl advise` predicts by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from shared.machine import RESULTS, provenance, restart_for_same_bits, write_result
from shared.signals import Kept, examples_of, gather_all, read_rows

from metarl.advise.fitting import Example, fit_model
from metarl.advise.judge import (
    Judged,
    cost,
    gained,
    mean_tau,
    over_targets,
    real_harm,
    real_sure_harm,
)
from metarl.advise.model import SHIPPED
from metarl.advise.prediction import SURE, Predictor
from metarl.advise.rule import Rule
from metarl.advise.signals import SIGNALS
from metarl.report import canvas
from metarl.report.colors import method_colors
from metarl.runs.metrics import finite
from metarl.runs.run import write_json

COSINES = ("gradient_cosine", "gradient_cosine_untrained")
_WORST = 12  # errors that are listed


@dataclass(frozen=True)
class Config:
    """What is judged."""

    matrix: Path
    """The folder of a transfer matrix, with matrix.json and its sources."""
    name: str = "advice"
    """Name of the results: NAME.json, NAME.png, and NAME-signals.json, where evidence is kept."""
    seed: int = 2026
    """Of the episodes from which signals are gathered."""
    resamples: int = 2000
    """Draws of each bootstrap."""
    ship: bool = False
    """Fit all targets and replace metarl/advise/model.json."""


def left_out(
    examples: Sequence[Example], predictor: Callable[[list[Example]], Predictor]
) -> list[Judged]:
    """Predict each target by what is known of the others."""
    found = []
    for target in dict.fromkeys(example.target for example in examples):
        model = predictor([example for example in examples if example.target != target])
        for e in examples:
            if e.target == target and e.arm in model.arms:
                said = model.predict(e.arm, e.signals)
                found.append(Judged(e.source, target, *e.arm, said.gain, e.gain, said.helps))
    return found


def candidates() -> dict[str, Callable[[list[Example]], Predictor]]:
    """What is judged, by name."""
    return {
        "all signals": fit_model,
        **{name: partial(fit_model, names=[name]) for name in COSINES},
        "no signal": partial(fit_model, names=[]),
        "rule of thumb": lambda rest: Rule(),
    }


def judge(rows: Sequence[Judged], resamples: int) -> dict[str, Any]:
    """How good one predictor was: numbers, and their intervals over targets."""

    def bounded(statistic: Callable[[Sequence[Judged]], float]) -> list[float]:
        around = over_targets(rows, statistic, resamples=resamples)
        return [statistic(rows), around.low, around.high]

    return {
        "transfers": len(rows),
        "targets": len({row.target for row in rows}),
        "weighted_tau": bounded(mean_tau),
        "predicted_harm": sum(row.predicted < 0 for row in rows),
        "real_harm": bounded(real_harm),
        "sure_harm": sum(row.helps is not None and 1.0 - row.helps >= SURE for row in rows),
        "real_sure_harm": bounded(real_sure_harm),
        "cost": bounded(cost),
        "share_of_best": bounded(share_lost),
        "correlation": bounded(correlation),
    }


def other_tasks(rows: Sequence[Judged]) -> list[Judged]:
    """Leave out sources that were trained on the target itself."""
    return [row for row in rows if row.source != row.target]


def measured_again(rows: Sequence[dict[str, Any]]) -> list[list[Judged]]:
    """Predict each seed of every arm by what its other seeds measured, a list a seed."""
    shared = min(len(row["scores"]) for row in rows)
    return [
        [
            Judged(
                row["source"], row["target"], row["strategy"], row["exploration"],
                float(np.mean([s for i, s in enumerate(row["scores"]) if i != seed])),
                row["scores"][seed],
            )
            for row in rows
        ]
        for seed in range(shared if shared > 1 else 0)
    ]  # fmt: skip


def agreement(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """How far seeds agree with each other: means over the seed that is left out."""
    seeds = measured_again(rows)
    if not seeds:
        return {}
    parts = {"all": seeds, "other tasks": [other_tasks(one) for one in seeds]}
    return {
        f"{name} of {who}": float(np.mean([statistic(one) for one in found]))
        for who, found in parts.items()
        for name, statistic in (("weighted_tau", mean_tau), ("correlation", correlation))
    }


def noise_of(rows: Sequence[dict[str, Any]]) -> float:
    """How large a score other noise alone brought about, a mean over targets."""
    each = {row["target"]: row["noise"] for row in rows}
    return float(np.mean([size for size in each.values() if size is not None]))


def share_lost(rows: Sequence[Judged]) -> float:
    """What following the advice costs, as a share of what the best choices gain."""
    best = gained(rows)
    return cost(rows) / best if best > 0 else float("nan")


def correlation(rows: Sequence[Judged]) -> float:
    """Pearson's r of predicted and measured gains."""
    x, y = (np.array([getattr(r, n) for r in rows]) for n in ("predicted", "measured"))
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else float("nan")


def ahead_of(rows: Sequence[Judged], others: Sequence[Judged], resamples: int) -> dict[str, float]:
    """By how much one predictor's tau is above another's, the same targets drawn for both."""
    mine, its = "mine", "its"
    both = [replace(r, source=f"{mine} {r.source}") for r in rows]
    both += [replace(r, source=f"{its} {r.source}") for r in others]

    def difference(drawn: Sequence[Judged]) -> float:
        one, other = ([r for r in drawn if r.source.startswith(who)] for who in (mine, its))
        return mean_tau(one) - mean_tau(other)

    around = over_targets(both, difference, resamples=resamples)
    return {"tau": difference(both), "low": around.low, "high": around.high}


def signal_table(examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
    """Each signal alone: Pearson's r with the mean gain of a pair over its arms, and the known pairs."""
    pairs: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        pairs.setdefault((example.source, example.target), []).append(example)
    found = {}
    for name in SIGNALS:
        known = [
            (p[0].signals[name], np.mean([e.gain for e in p]))
            for p in pairs.values()
            if name in p[0].signals
        ]
        x, y = np.array(known).reshape(-1, 2).T
        usable = len(x) > 2 and x.std() > 1e-9 and y.std() > 1e-9
        r = float(np.corrcoef(x, y)[0, 1]) if usable else float("nan")
        found[name] = {"r": r, "pairs": len(x)}
    return found


def draw(rows: Sequence[Judged], tau: Sequence[float]) -> bytes:
    """Predicted against measured gains, a colour a strategy, as PNG."""
    title = f"Gains predicted with the target left out (weighted tau {tau[0]:.2f})"
    figure, axes = canvas.titled_figure(6.4, 5.6, title)
    names = list(dict.fromkeys(row.strategy for row in rows))
    for name, color in zip(names, method_colors(names)):
        mine = [row for row in rows if row.strategy == name]
        for exploration, marker in (("fresh", "o"), ("source", "^")):
            own = [row for row in mine if row.exploration == exploration]
            axes.scatter(
                [r.predicted for r in own], [r.measured for r in own], s=18, marker=marker,
                color=color, alpha=0.75, linewidths=0, label=f"{name}, {exploration}" if own else None,
            )  # fmt: skip
    ends = [
        min(min(r.predicted, r.measured) for r in rows),
        max(max(r.predicted, r.measured) for r in rows),
    ]
    axes.plot(ends, ends, color=canvas.FAINT, linewidth=0.8)
    axes.axhline(0.0, color=canvas.GRID, linewidth=0.8, zorder=0)
    axes.axvline(0.0, color=canvas.GRID, linewidth=0.8, zorder=0)
    axes.set(xlabel="predicted gain", ylabel="measured gain")
    axes.legend(fontsize=7, frameon=False)
    return canvas.png(figure)


def main(config: Config) -> None:
    """Gather signals, judge, write the result and the picture."""
    restart_for_same_bits()
    begun = time.perf_counter()
    rows = read_rows(config.matrix)
    kept = Kept(RESULTS / f"{config.name}-signals.json")
    examples = examples_of(rows, gather_all(config.matrix, rows, kept, seed=config.seed))
    judged = {name: left_out(examples, make) for name, make in candidates().items()}
    table = {name: judge(found, config.resamples) for name, found in judged.items()}
    others = {n: judge(other_tasks(found), config.resamples) for n, found in judged.items()}
    for title, part in (("all sources", table), ("sources of other tasks", others)):
        print(title)
        for name, found in part.items():
            print(f"  {name:<28}" + "  ".join(f"{k} {_text(v)}" for k, v in found.items()))
    print("seeds among each other: ", agreement(rows))
    best = judged["all signals"]
    errors = sorted(best, key=lambda row: -abs(row.measured - row.predicted))
    result = {
        "predictors": table,
        "predictors_of_other_tasks": others,
        "seeds_among_each_other": agreement(rows),
        "ahead": {
            name: ahead_of(best, judged[name], config.resamples) for name in (*COSINES, "no signal")
        },
        "signals": signal_table(examples),
        "worst": [asdict(row) for row in errors[:_WORST]],
        "rows": [asdict(row) for row in best],
        "seconds": time.perf_counter() - begun,
    }
    print(f"wrote {write_result(config.name, finite(result))}")
    picture = RESULTS / f"{config.name}.png"
    picture.write_bytes(draw(best, table["all signals"]["weighted_tau"]))
    print(f"wrote {picture}")
    if config.ship:
        made = {name: provenance()[name] for name in ("command", "date")}
        write_json(SHIPPED, fit_model(examples, noise=noise_of(rows), made=made).to_json())
        print(f"wrote {SHIPPED}")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]:.2f} [{value[1]:.2f}, {value[2]:.2f}]"
    return str(value)


if __name__ == "__main__":
    main(tyro.cli(Config))
