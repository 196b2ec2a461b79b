"""Kickstarting: a student that starts from nothing imitates the source, less and less."""

from metarl.methods import Method
from metarl.transfer.config import Teaching
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class Kickstart(Strategy):
    """Start from nothing; the source says what it would do where the student is.

    By reward the KL divergence of the student's actions from the source's is added to the loss; its
    gradient is that of the paper's cross-entropy. Where an expert teaches, the mean actions' squared
    distance from the source's, as from the expert's.

    Deviation: The weight falls linearly; the paper has it changed by population based training.
    """

    name = "kickstart"
    doc = "start from nothing, imitate the source less and less"
    start = "scratch"
    new_head = True
    config = Teaching
    imitates = True

    def teaching(self, progress: float) -> float:
        how = self.settings
        return how.weight * max(0.0, 1.0 - progress / how.fade)


METHOD = Method(
    Kickstart.doc, adapting=by_reward(Kickstart), source="Schmitt et al. 2018, arXiv:1803.03835"
)
TAUGHT = taught(Kickstart)
