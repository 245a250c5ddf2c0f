"""Versions of the prompts, experiments with them and what came of it."""
