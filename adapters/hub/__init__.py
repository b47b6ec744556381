"""Adapters, merged models and datasets to the Hugging Face Hub and back."""
