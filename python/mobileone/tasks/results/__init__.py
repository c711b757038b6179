"""What `Model.segment` and `Model.detect` give."""
