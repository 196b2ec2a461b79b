"""How anything learns: episodes, losses, and the loop around a trainer."""
