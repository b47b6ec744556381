"""Many LoRA adapters on one base: their slots, the layers that add them, and the cache of adapters."""
