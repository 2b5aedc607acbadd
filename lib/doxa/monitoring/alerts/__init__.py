"""When it is time to look: what is expected of the next bucket of time, how surprising it is, and what is told of it."""
