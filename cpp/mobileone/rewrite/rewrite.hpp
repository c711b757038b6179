// Re-parameterization as graph rewrites: new Network in, new Network out, the input untouched.
//
// Both rewrites work on any Graph: they fuse MobileOne (section 3.3), RepVGG blocks and plain
// conv-BN pairs alike. The algebra is done in float64; the exact rewrites below return float64
// weights where they changed one, and `reparameterize` rounds once, at the end, to float32.
#pragma once

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// Conv2d -> BatchNorm (the convolution read by nothing else) becomes one Conv2d with a bias, under
// the convolution's name; a lone BatchNorm becomes a depthwise 1x1 Conv2d with a bias, under its
// own name; one of convolutions that are joined by channels goes into each of them:  W' = W * g, b'
// = beta + (b - mean) * g,  g = gamma / sqrt(var + eps). Dropout, the identity in inference, goes.
Network fold_batch_norm(const Network& network);

// Among the inputs of an Add, Conv2d's that read the same tensor with the same stride and aligned
// centres (and are read by nothing else) become one Conv2d: kernels expanded to the fewest groups,
// zero-padded to the largest kernel, and summed. Where that leaves a single input, the Add goes
// and the convolution takes its name, "<block>.reparam_conv" where that was "<block>.sum".
Network merge_branches(const Network& network);

// Conv2d -> depthwise 1x1 Conv2d of stride 1 without padding (a lone batch norm after a sum that
// was merged, or a layer scale) becomes one Conv2d, the first being read by nothing else.
Network fold_scales(const Network& network);

// Every float64 weight rounded to float32.
Network round_weights(Network network);

// fold_batch_norm, then merge_branches and fold_scales for as long as they find something, since a
// merged sum may be a branch of the next one. In float64.
Network fold_and_merge(const Network& network);

// round_weights(fold_and_merge(network)). A network already in inference form comes back with the
// same weights.
Network reparameterize(const Network& network);

// Whether the network has no batch norm and no dropout left, i.e. is in inference form.
bool is_inference_form(const Graph& graph);

}  // namespace mobileone
