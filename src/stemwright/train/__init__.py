"""The recipe behind the bundled model: songs are composed, a net is trained on them, measured and exported."""
