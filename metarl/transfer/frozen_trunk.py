"""A frozen trunk: what was learned stays, a new head learns."""

from metarl.methods import Method
from metarl.transfer.imitation import taught
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy

STRATEGY = Strategy(
    "frozen-trunk",
    start="pretrained",
    new_head=True,
    train_trunk=False,
    rate_scale=1.0,
    doc="keep the trunk, learn a new head",
)
METHOD = Method(
    STRATEGY.doc, adapting=by_reward(STRATEGY), source="Yosinski et al. 2014, arXiv:1411.1792"
)
TAUGHT = taught(STRATEGY)
