// Resizing, joining and dropping of float64 arrays.
#pragma once

#include <string>

#include "mobileone/reference/operators.hpp"

namespace mobileone::reference {

// Bilinear interpolation along one axis: result i is low_weight[i] x[low[i]] + high_weight[i]
// x[high[i]]. PyTorch's align_corners=False: i's place is (i + 1/2) from / to - 1/2, at least 0.
struct Interpolation {
  std::vector<std::size_t> low, high;
  Values low_weight, high_weight;
  double ratio;  // from / to

  Interpolation(std::int64_t from, std::int64_t to);
};

// x [N, C, H, W] along H and W.
ReferenceTensor interpolate(const ReferenceTensor& x, const Interpolation& rows,
                            const Interpolation& columns, int threads);

// Maps joined along their channels.
ReferenceTensor join(const std::vector<const ReferenceTensor*>& inputs, const Shape& shape);

// x times `scale` where DropoutMask(seed, node, p) keeps it, else 0.
ReferenceTensor drop(const ReferenceTensor& x, std::uint64_t seed, const std::string& node,
                     double p, double scale);

}  // namespace mobileone::reference
