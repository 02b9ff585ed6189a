"""Architectures: one file, one frozen config, one module; they never import each other."""
