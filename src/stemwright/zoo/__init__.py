"""Models are data: cards, weights, and how a name becomes a separator."""
