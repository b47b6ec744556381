"""The Settings tab: the machine, the engine's options, access, storage."""
