"""Questions to the engine and the answers that stream back, whoever asks: the chat, or the comparison of adapters."""
