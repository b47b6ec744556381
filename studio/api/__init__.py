"""What programs ask for: OpenAI's /v1, downloads of adapters, TensorBoard."""
