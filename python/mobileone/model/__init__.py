"""Model, and the verbs that make one: what `import mobileone` offers by these names."""

from mobileone.model.creating import create_detector, create_model, create_segmenter
from mobileone.model.loading import from_torch, load, reparameterize
from mobileone.model.model import Model
from mobileone.model.quantizing import quantize

__all__ = ["Model", "create_detector", "create_model", "create_segmenter", "from_torch", "load"]
__all__ += ["quantize", "reparameterize"]
