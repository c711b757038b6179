"""Writers of the one network that is compared, in each runtime's own file format."""
