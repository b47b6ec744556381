"""Benchmarks that need a CUDA card; each is run by hand."""
