"""From songs on disk to trained weights and the graph that is shipped."""
