"""Does it help? Sources, targets and strategies, measured against learning from nothing."""
