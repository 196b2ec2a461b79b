"""RL2: learning by a memory."""
