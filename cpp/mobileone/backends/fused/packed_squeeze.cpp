#include "mobileone/backends/fused/packed_squeeze.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

PackedSqueeze pack_squeeze(const SqueezeMatch& match, PlanBuilder& builder) {
  PackedSqueeze result;
  result.shape.channels = static_cast<int>(match.channels);
  result.shape.reduced = static_cast<int>(match.reduced);
  result.shape.activation = kernel_activation(match.activation).value();
  result.shape.gate = kernel_activation(match.gate).value();
  const NodeWeights reduce(match.reduce, builder), expand(match.expand, builder);
  const auto pack_into = [&](void* out) {
    kernels::pack_squeeze_excite(result.shape.channels, result.shape.reduced, reduce.weight(),
                                 reduce.bias(), expand.weight(), expand.bias(),
                                 static_cast<float*>(out));
  };
  result.weights = builder.packed(builder.node(match.reduce).name + " fused",
                                  result.shape.packed_floats() * sizeof(float), pack_into);
  result.shape.packed = static_cast<const float*>(result.weights.get());
  return result;
}

}  // namespace mobileone::fused
