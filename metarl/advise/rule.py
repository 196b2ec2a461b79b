"""A plain rule, for as long as no transfer has been measured that a model could be fitted to."""

from __future__ import annotations

import math
from collections.abc import Mapping

from metarl.advise.prediction import Arm, Prediction, largest_first
from metarl.advise.signals import SIGNALS

WHOLE, TRUNK = Arm("fine-tune", "fresh"), Arm("frozen-trunk", "fresh")
_POLICY = (
    "zero_update", "greedy", "action_agreement", "expert_approach", "gradient_cosine_untrained",
)  # fmt: skip
_HALF = 0.5  # what a trunk is worth at most: its head is learned anew


class Rule:
    """Two sums that a reader can do in the head.

    - The whole policy (`fine-tune`): the mean of the signals that say what it does on the target
      before any update, and whether the two tasks' gradients agree at fresh weights (at the
      source's own, where it has learned all it could, they are mostly noise); each lies in [-1, 1].
    - Its trunk alone (`frozen-trunk`): half the mean of what its features gain in LogME and
      H-score over fresh ones, each squashed by tanh into [-1, 1].

    It errs by nobody knows how much, and says so: there is no interval, and a tenth of all that can
    be gained is taken to mean nothing.
    """

    about = "a rule of thumb: nobody has measured how far it errs"
    arms = (WHOLE, TRUNK)
    noise = 0.1

    def predict(self, arm: Arm, signals: Mapping[str, float]) -> Prediction:
        """Predict one arm's gain; see the class."""
        if arm == WHOLE:
            known = {name: signals[name] for name in _POLICY if name in signals}
        else:
            known = {
                name: _HALF * math.tanh(value)
                for name, value in signals.items()
                if SIGNALS[name].kind == "trunk" and not name.startswith("trans_rate")
            }
        parts = {name: value / len(known) for name, value in known.items()}
        return Prediction(sum(parts.values()), None, None, None, largest_first(parts))
