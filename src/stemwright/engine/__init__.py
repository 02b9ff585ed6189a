"""A separator over a whole song: numpy in, numpy out."""
