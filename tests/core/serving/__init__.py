"""Tests of the engine, on tiny random models."""
