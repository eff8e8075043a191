"""Means, intervals and tests of scores that are clustered by patient or slide."""
