"""int8 networks of float ones: ranges from calibration images, cures, and what they cost."""
