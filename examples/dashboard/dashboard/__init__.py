"""A live dashboard: the server pushes what its sensors say, and what others measure."""
