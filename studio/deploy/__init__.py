"""A Hugging Face Space that runs this studio."""
