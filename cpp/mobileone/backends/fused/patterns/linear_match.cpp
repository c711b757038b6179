#include "mobileone/backends/fused/patterns/linear_match.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::fused {

namespace {

bool is_pooled(const Shape& shape) { return shape.size() == 4 && shape[2] == 1 && shape[3] == 1; }

// A 1x1 convolution of pooled features. Its result has no channels that pad it, which the next
// reader would find uninitialised.
std::optional<LinearMatch> match_convolution(Cursor cursor) {
  const NodeId source = cursor.inputs()[0];
  const auto* conv = cursor.take<Conv2d>();
  const auto activation = map_activation(cursor.activation());
  const bool fits = is_dense(*conv, 1, 1) && conv->out_channels % kernels::kBlock == 0 &&
                    activation && is_pooled(cursor.builder().shape(source));
  if (!fits) return std::nullopt;
  return LinearMatch{{cursor.taken()},
                     source,
                     cursor.node(),
                     static_cast<int>(conv->in_channels),
                     static_cast<int>(conv->out_channels),
                     *activation};
}

}  // namespace

std::optional<LinearMatch> match_linear(const Cursor& at) {
  if (at.get<Conv2d>() != nullptr) return match_convolution(at);
  Cursor cursor = at;
  const auto* linear = cursor.take<Linear>();
  // Of a larger map the features are the last axis, not the channels.
  if (!linear || cursor.activation() || !linear->takes_pixels(at.builder().shape(at.inputs()[0]))) {
    return std::nullopt;
  }
  return LinearMatch{{cursor.taken()},
                     at.inputs()[0],
                     cursor.node(),
                     static_cast<int>(linear->in_features),
                     static_cast<int>(linear->out_features)};
}

}  // namespace mobileone::fused
