"""Where every built-in method is, and its configs, by name; nothing is loaded here."""

# Name -> where the method is, as in an entry point. What is trained:
TRAINED = {
    "ppo": "metarl.rl.ppo:METHOD",
    "dagger": "metarl.rl.dagger:METHOD",
    "maml": "metarl.meta.maml.maml:METHOD",
    "maml-trpo": "metarl.meta.maml.trust_region:METHOD",
    "promp": "metarl.meta.maml.promp:METHOD",
    "reptile": "metarl.meta.maml.reptile:METHOD",
    "meta-sgd": "metarl.meta.maml.meta_sgd:METHOD",
    "anil": "metarl.meta.maml.anil:METHOD",
    "rl2": "metarl.meta.rl2.trainer:METHOD",
    "pearl": "metarl.meta.pearl.trainer:METHOD",
    "meta-critic": "metarl.meta.critic.trainer:METHOD",
    "multi-task": "metarl.multitask.trainer:METHOD",
    "modular": "metarl.multitask.modular.trainer:METHOD",
    "eyes": "metarl.perception.eyes.trainer:METHOD",
}
# The configs of what is trained, where they load without torch: a mistake is told at once.
CONFIGS = {
    "ppo": "metarl.rl.config:PpoConfig",
    "dagger": "metarl.rl.config:DaggerConfig",
    "maml": "metarl.meta.maml.config:MamlConfig",
    "maml-trpo": "metarl.meta.maml.config:TrustRegionConfig",
    "promp": "metarl.meta.maml.config:PrompConfig",
    "reptile": "metarl.meta.maml.config:ReptileConfig",
    "meta-sgd": "metarl.meta.maml.config:MamlConfig",
    "anil": "metarl.meta.maml.config:MamlConfig",
    "rl2": "metarl.meta.rl2.config:Rl2Config",
    "pearl": "metarl.meta.pearl.config:PearlConfig",
    "meta-critic": "metarl.meta.critic.config:MetaCriticConfig",
    "multi-task": "metarl.multitask.config:MultiTaskConfig",
    "modular": "metarl.multitask.modular.config:ModularConfig",
    "eyes": "metarl.perception.eyes.config:EyesConfig",
}
SEVERAL = ("multi-task", "modular")  # of these, what trains on several families at once
# And those whose tasks can be split over workers.
SPLIT = ("anil", "maml", "maml-trpo", "meta-sgd", "promp", "reptile")
# How a policy that was not trained for it meets new tasks: a strategy. These are rules over a network's
# tensors, by reward or taught by an expert; where each is, and what can be set of it beside that.
RULES = {
    "scratch": ("scratch", ""),
    "fine-tune": ("fine_tune", ""),
    "frozen-trunk": ("frozen_trunk", ""),
    "small-rate": ("small_rate", ""),
    "new-head": ("new_head", ""),
    "lower-layers": ("lower_layers", "Lowest"),
    "lp-ft": ("lp_ft", "HeadFirst"),
    "layerwise-rate": ("layerwise_rate", "LayerDecay"),
    "l2-sp": ("l2_sp", "Pull"),
    "low-rank": ("low_rank", "Adapters"),
    "wise-ft": ("wise_ft", "Average"),
    "kickstart": ("kickstart", "Teaching"),
}
STRATEGIES = {
    **{name: f"metarl.transfer.{module}:METHOD" for name, (module, _) in RULES.items()},
    **{f"{name}-dagger": f"metarl.transfer.{module}:TAUGHT" for name, (module, _) in RULES.items()},
    "untrained-inner-loop": "metarl.meta.maml.untrained:METHOD",
    "strategy-optimization": "metarl.transfer.strategy_optimization:METHOD",
    "bayesian-optimization": "metarl.transfer.bayesian_optimization:METHOD",
    "residual-search": "metarl.transfer.residual_search:METHOD",
}
# And where their settings are, which are checked before torch is loaded.
SETTINGS = {
    **{name: f"metarl.transfer.config:{own}FineTuning" for name, (_, own) in RULES.items()},
    **{
        f"{name}-dagger": f"metarl.transfer.config:{own}Imitation"
        for name, (_, own) in RULES.items()
    },
    "untrained-inner-loop": "metarl.meta.maml.config:InnerLoop",
    "strategy-optimization": "metarl.transfer.config:StrategyOptimization",
    "bayesian-optimization": "metarl.transfer.config:BayesianOptimization",
    "residual-search": "metarl.transfer.config:ResidualSearch",
}
