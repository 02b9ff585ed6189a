"""Other projects' checkpoints, read and never run, in a child process: their names, sizes and tensors become ours."""
