"""L2-SP: weights are pulled to where they started, instead of to 0."""

from collections.abc import Mapping

import torch
from torch import Tensor

from metarl.methods import Method
from metarl.transfer.config import Pull
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import HEAD, Strategy


class L2Sp(Strategy):
    """Train everything, pulled back to the source; a head that is new is pulled to 0."""

    name = "l2-sp"
    doc = "train everything, pulled back towards the source"
    config = Pull
    keeps_source = True

    def penalty(self, now: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> Tensor:
        away = [(now[name] - source[name]).square().sum() for name in source]
        new = [p.square().sum() for n, p in now.items() if n.startswith(HEAD) and n not in source]
        zero = torch.zeros((), device=next(iter(now.values())).device)
        how = self.settings
        return 0.5 * (how.alpha * sum(away, start=zero) + how.beta * sum(new, start=zero))


METHOD = Method(L2Sp.doc, adapting=by_reward(L2Sp), source="Li et al. 2018, arXiv:1802.01483")
TAUGHT = taught(L2Sp)
