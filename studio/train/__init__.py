"""The Train tab: what to learn from, how, whether it fits, and Start."""
