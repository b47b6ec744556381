"""HTTP before the engine: OpenAI's requests and responses, prompts, health and metrics."""
