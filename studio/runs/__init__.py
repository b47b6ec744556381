"""The Runs tab: all runs, one in detail, several compared; and TensorBoard's tab."""
