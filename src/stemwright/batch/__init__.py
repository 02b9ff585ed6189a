"""Many songs: found, told apart, skipped when they are done, separated some at a time, each with its own wish."""
