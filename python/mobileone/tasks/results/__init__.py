"""`Model.predict`, and what `Model.segment` and `Model.detect` give."""
