"""Tables' companions: figures of plain rows. matplotlib is imported inside functions only."""
