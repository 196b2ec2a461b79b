"""WiSE-FT: what fine-tuning learned, averaged with the source, weight by weight."""

from collections.abc import Mapping

from torch import Tensor

from metarl.methods import Method
from metarl.nn.functional import Params
from metarl.transfer.config import Average
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy


class WiseFt(Strategy):
    """Train everything; what is judged and saved is the average with the source.

    The episodes that teach are those of the policy that learns, not of the average: a policy gradient
    needs its own actions.
    """

    name = "wise-ft"
    doc = "train everything, then average the weights with the source's"
    config = Average
    keeps_source = True

    def finish(self, now: Params, source: Mapping[str, Tensor]) -> Params:
        mix = self.settings.mix
        return {n: mix * p + (1.0 - mix) * source[n] if n in source else p for n, p in now.items()}


METHOD = Method(
    WiseFt.doc, adapting=by_reward(WiseFt), source="Wortsman et al. 2022, arXiv:2109.01903"
)
TAUGHT = taught(WiseFt)
