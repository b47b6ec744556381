"""The base model: which one is meant, loading it in 4 bit, and everything that is asked of it."""
