"""How long a network takes, as a whole and step by step."""
