"""The wire: the fixed contract of the Suno stem API, and nothing else."""
