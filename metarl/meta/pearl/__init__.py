"""PEARL: learning by inferring what is hidden."""
