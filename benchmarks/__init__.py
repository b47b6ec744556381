"""Benchmarks: ratios side by side in one run, medians of several. Results are kept in docs/benchmarks/."""
