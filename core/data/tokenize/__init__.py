"""Conversations to token ids and labels, by the base's own chat template."""
