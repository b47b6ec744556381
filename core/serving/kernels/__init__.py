"""The engine's forward on a CPU, compiled by Numba: products of 4-bit and 8-bit weights, and all layers in one call."""
