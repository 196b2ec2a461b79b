"""How well do features fit a target, before anything is trained? Scores of transferability."""

from metarl.advise.scores.hscore import h_score, shrunk_h_score
from metarl.advise.scores.leep import leep
from metarl.advise.scores.logme import logme
from metarl.advise.scores.samples import quantile_classes
from metarl.advise.scores.transrate import trans_rate

__all__ = ["h_score", "leep", "logme", "quantile_classes", "shrunk_h_score", "trans_rate"]
