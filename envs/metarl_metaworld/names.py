"""The skills of Meta-World 3.1.1, and which of them its benchmarks are made of."""

SKILLS = tuple(
    f"{name}-v3"
    for name in (
        "assembly", "basketball", "bin-picking", "box-close", "button-press-topdown",
        "button-press-topdown-wall", "button-press", "button-press-wall", "coffee-button",
        "coffee-pull", "coffee-push", "dial-turn", "disassemble", "door-close", "door-lock",
        "door-open", "door-unlock", "hand-insert", "drawer-close", "drawer-open", "faucet-open",
        "faucet-close", "hammer", "handle-press-side", "handle-press", "handle-pull-side",
        "handle-pull", "lever-pull", "peg-insert-side", "pick-place-wall", "pick-out-of-hole",
        "reach", "push-back", "push", "pick-place", "plate-slide", "plate-slide-side",
        "plate-slide-back", "plate-slide-back-side", "peg-unplug-side", "soccer", "stick-push",
        "stick-pull", "push-wall", "reach-wall", "shelf-place", "sweep-into", "sweep",
        "window-open", "window-close",
    )
)  # fmt: skip
ML10 = tuple(
    f"{name}-v3"
    for name in (
        "reach", "push", "pick-place", "door-open", "drawer-close", "button-press-topdown",
        "peg-insert-side", "window-open", "sweep", "basketball",
        # held out
        "drawer-open", "door-close", "shelf-place", "sweep-into", "lever-pull",
    )
)  # fmt: skip
MT10 = tuple(
    f"{name}-v3"
    for name in (
        "reach", "push", "pick-place", "door-open", "drawer-open", "drawer-close",
        "button-press-topdown", "peg-insert-side", "window-open", "window-close",
    )
)  # fmt: skip
