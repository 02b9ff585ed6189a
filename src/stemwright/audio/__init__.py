"""Bytes to samples and samples to bytes, streaming both ways; numpy, no torch."""
