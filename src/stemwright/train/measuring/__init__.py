"""How good a separator is on songs whose stems are known, beside what needs no training."""
