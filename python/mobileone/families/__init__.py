"""What is known of each family of networks: one folder per family."""
