"""GPUs: what is asked for, what is there, what fits, and how a container gets it."""
