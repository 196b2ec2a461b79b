"""LP-FT: a new head learns on the frozen trunk, then everything learns."""

from metarl.methods import Method
from metarl.transfer.config import HeadFirst
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class LpFt(Strategy):
    """Learn a new head, then everything."""

    name = "lp-ft"
    doc = "learn a new head, then everything"
    new_head = True
    config = HeadFirst

    @property
    def turns(self) -> tuple[float, ...]:
        return (self.settings.head_share,)

    def rate(self, depth: int, progress: float) -> float:
        return 0.0 if depth and progress < self.settings.head_share else 1.0


METHOD = Method(LpFt.doc, adapting=by_reward(LpFt), source="Kumar et al. 2022, arXiv:2202.10054")
TAUGHT = taught(LpFt)
