"""How an arm is driven."""
