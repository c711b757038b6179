// Which elements a Dropout keeps: a function of (seed, node, element), so that every backend and
// the reference drop the same ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mobileone {

class DropoutMask {
 public:
  // `seed` is the training step's; `node` the Dropout's name.
  DropoutMask(std::uint64_t seed, std::string_view node, double p);

  // 1 / (1 - p) for an element that is kept, with probability 1 - p, else 0. `element` counts in
  // the tensor's row-major order: NCHW for maps, [B, N, C] for sequences.
  double factor(std::size_t element) const;

 private:
  std::uint64_t stream_;
  double p_, scale_;
};

}  // namespace mobileone
