"""A client of any server that speaks the Suno stem API, ours or not; nothing of the engine or the service is in it."""
