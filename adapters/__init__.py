"""Adapters as things: records on disk, compatibility, model cards, Hub push and pull."""
