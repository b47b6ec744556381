"""The engine's loop: waiting sequences, the forward pass, the KV cache, sampling, and text as it streams."""
