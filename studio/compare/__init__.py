"""Comparing adapters: votes, blind rounds, ratings, and lists of prompts."""
