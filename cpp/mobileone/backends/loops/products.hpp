// Sums of products: what convolutions and linear layers are. Weights lie in tiles of kTile output
// channels of one group, tap by tap.
#pragma once

#include <optional>
#include <vector>

#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

inline constexpr std::int64_t kTile = 16;   // output channels whose sums are made at once
inline constexpr std::int64_t kPixels = 6;  // neighbouring pixels of a row

struct Products {
  Conv2d conv;
  MapView in, out;
  std::optional<ActivationKind> activation;
  // Where an input channel lies in a pixel, from the pixel's channel 0.
  std::vector<std::int64_t> channel_offset;

  Products(const Conv2d& conv, const MapView& in, const MapView& out,
           std::optional<ActivationKind> activation);

  std::int64_t inputs() const { return conv.in_channels / conv.groups; }    // of a group
  std::int64_t outputs() const { return conv.out_channels / conv.groups; }  // of a group
  std::int64_t tiles() const { return (outputs() + kTile - 1) / kTile; }    // of a group
  std::int64_t tile_floats() const { return conv.kernel[0] * conv.kernel[1] * inputs() * kTile; }
  std::int64_t packed_floats() const { return conv.groups * tiles() * tile_floats(); }
  // One task makes one row of one image for one tile.
  std::int64_t tasks() const { return conv.groups * tiles() * out.images * out.height; }

  // From [out, in / groups, kh, kw]: [group][tile][ky][kx][in][kTile], channels beyond the last 0.
  void pack(const float* weight, float* packed) const;
  // `bias` may be null.
  void run(std::int64_t task, const float* x, const float* packed, const float* bias,
           float* y) const;
};

// Adds the step that runs all tasks of convolution or linear layer `op`, whose weights are named
// as the node says.
void add_products(const Products& products, ValueId src, ValueId dst, const LoweredOp& op,
                  PlanBuilder& builder);

}  // namespace mobileone::loops
