"""Objects in a picture: boxes with a class and a score."""
