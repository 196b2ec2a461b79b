"""A family whose test tasks cannot be had."""

from __future__ import annotations

from toy import Short

from metarl.registry import register


@register("trainonly/reach")
class TrainOnly(Short):
    """Whoever asks for other tasks than training's is told."""

    def sample(self, rng, n, split):
        if split != "train":
            raise AssertionError(f"{split} tasks were asked for")
        return super().sample(rng, n, split)
