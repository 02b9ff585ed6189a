"""Tests of stemwright.audio."""
