"""The engine and other servers on the same work, side by side: `python -m benchmarks.peers`."""
