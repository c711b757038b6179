// Sums of linear branches of one input, each followed by a batch norm: what one convolution does.
#pragma once

#include <string>
#include <vector>

#include "mobileone/plan/builder.hpp"

namespace mobileone::training {

// One summand: norm(conv(x)) or norm(x); of a single run also conv(x).
struct Branch {
  NodeId conv = -1;  // -1: an identity branch
  NodeId norm = -1;
  // Where the branch's taps lie among the merged convolution's, per output: its weight's order
  // (input of the group, row, column). One per output that its own channel of the input is.
  std::vector<std::int64_t> taps;
};

struct BranchSum {
  NodeId input = -1;
  Conv2d merged;  // kernel and padding of the widest branch
  std::vector<Branch> branches;
  LoweredOp op;             // result and activation
  std::size_t lowered = 0;  // operators that it consists of

  bool depthwise() const { return merged.depthwise() && merged.in_channels > 1; }
  // Elements of a patch that an output sees.
  std::int64_t taps() const {
    return merged.in_channels / merged.groups * merged.kernel[0] * merged.kernel[1];
  }
  // The tap that an identity branch of an output channel reads.
  std::int64_t centre() const { return merged.padding[0] * merged.kernel[1] + merged.padding[1]; }
};

// The sum that begins with ops[at], if there is one that the kernels take: convolutions without a
// bias, ungrouped or depthwise 3 x 3, of equal strides, their centres on the same pixel.
std::optional<BranchSum> match(const std::vector<LoweredOp>& ops, std::size_t at,
                               const PlanBuilder& builder);

}  // namespace mobileone::training
