"""Voices: speech re-sung and voices from first principles, along a melody, with their vocal chain."""
