"""The engine: one 4-bit base, many LoRA adapters in one batch, spoken to in OpenAI's protocol."""
