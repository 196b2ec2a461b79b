"""Searching for a method's settings, by what they reach on train tasks that training does not meet."""
