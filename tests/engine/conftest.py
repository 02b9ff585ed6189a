"""Laws are tried on many examples; how long one takes says more about the neighbours than about the code."""

from hypothesis import settings

settings.register_profile("engine", deadline=None)
settings.load_profile("engine")
