#include "mobileone/backends/training/branch_sum.hpp"

#include <algorithm>

namespace mobileone::training {

namespace {

// Convolution and norm of a branch; none where the node is no branch.
std::optional<Branch> branch_of(NodeId id, const PlanBuilder& builder) {
  const Node& norm = builder.node(id);
  if (!std::holds_alternative<BatchNorm>(norm.op)) return std::nullopt;
  Branch branch;
  branch.norm = id;
  const NodeId before = norm.inputs[0];
  const auto* conv = std::get_if<Conv2d>(&builder.node(before).op);
  // A convolution that others read too is the input of an identity branch.
  if (conv && builder.readers(before).size() == 1 && !builder.is_output(before)) {
    branch.conv = before;
  }
  return branch;
}

NodeId input_of(const Branch& branch, const PlanBuilder& builder) {
  return builder.node(branch.conv >= 0 ? branch.conv : branch.norm).inputs[0];
}

const Conv2d* conv_of(const Branch& branch, const PlanBuilder& builder) {
  return branch.conv < 0 ? nullptr : &std::get<Conv2d>(builder.node(branch.conv).op);
}

// Rows and columns of the merged kernel before a branch's own first; negative: it does not fit.
std::int64_t margin(const Conv2d& whole, const Conv2d& part, std::size_t axis) {
  const std::int64_t before = whole.padding[axis] - part.padding[axis];
  return 2 * before == whole.kernel[axis] - part.kernel[axis] ? before : -1;
}

bool fits(const Conv2d& whole, const Conv2d& part) {
  return part.in_channels == whole.in_channels && part.out_channels == whole.out_channels &&
         part.groups == whole.groups && part.stride == whole.stride && !part.bias &&
         (part.dilation == Extent{1, 1} || part.kernel == Extent{1, 1}) &&
         margin(whole, part, 0) >= 0 && margin(whole, part, 1) >= 0;
}

bool has_kernels(const Conv2d& conv) {
  if (conv.dilation != Extent{1, 1} || conv.bias) return false;
  if (conv.groups == 1) return true;
  const Extent one{1, 1}, two{2, 2};
  return conv.depthwise() && conv.kernel == Extent{3, 3} && conv.padding == one &&
         (conv.stride == one || conv.stride == two);
}

bool identity_fits(const Conv2d& conv) {
  return conv.in_channels == conv.out_channels && conv.stride == Extent{1, 1} &&
         2 * conv.padding[0] == conv.kernel[0] - 1 && 2 * conv.padding[1] == conv.kernel[1] - 1;
}

std::vector<std::int64_t> taps_of(const Conv2d& whole, const Conv2d& part) {
  std::vector<std::int64_t> taps;
  const std::int64_t top = margin(whole, part, 0), left = margin(whole, part, 1);
  for (std::int64_t in = 0; in < whole.in_channels / whole.groups; ++in) {
    for (std::int64_t y = 0; y < part.kernel[0]; ++y) {
      for (std::int64_t x = 0; x < part.kernel[1]; ++x) {
        taps.push_back((in * whole.kernel[0] + top + y) * whole.kernel[1] + left + x);
      }
    }
  }
  return taps;
}

// Fills in input, merged convolution and taps; false where one convolution does not do it.
bool merge(BranchSum& sum, const PlanBuilder& builder) {
  const Conv2d* widest = nullptr;
  for (const Branch& branch : sum.branches) {
    const Conv2d* conv = conv_of(branch, builder);
    if (conv && (!widest || conv->kernel > widest->kernel)) widest = conv;
  }
  if (!widest || !has_kernels(*widest)) return false;
  sum.input = input_of(sum.branches.front(), builder);
  sum.merged = *widest;
  for (Branch& branch : sum.branches) {
    const Conv2d* conv = conv_of(branch, builder);
    if (input_of(branch, builder) != sum.input) return false;
    if (conv ? !fits(*widest, *conv) : !identity_fits(*widest)) return false;
    if (conv) branch.taps = taps_of(*widest, *conv);
  }
  return true;
}

}  // namespace

std::optional<BranchSum> match(const std::vector<LoweredOp>& ops, std::size_t at,
                               const PlanBuilder& builder) {
  // Convolutions and norms up to the sum; all of them must be its branches.
  std::size_t last = at;
  while (last < ops.size() && !ops[last].activation) {
    const Op& op = builder.node(ops[last].node).op;
    if (!std::holds_alternative<Conv2d>(op) && !std::holds_alternative<BatchNorm>(op)) break;
    ++last;
  }
  BranchSum sum;
  std::size_t parts = 0;
  if (last < ops.size() && std::holds_alternative<Add>(builder.node(ops[last].node).op)) {
    sum.op = ops[last];
    for (NodeId summand : builder.node(ops[last].node).inputs) {
      const auto branch = branch_of(summand, builder);
      if (!branch || builder.readers(summand).size() != 1 || builder.is_output(summand)) break;
      sum.branches.push_back(*branch);
      parts += branch->conv >= 0 ? 2 : 1;
    }
    sum.lowered = last - at + 1;
    const bool whole =
        sum.branches.size() == builder.node(ops[last].node).inputs.size() && parts == last - at;
    if (whole && merge(sum, builder)) return sum;
  }
  // A convolution and its norm alone.
  if (at + 1 >= ops.size() || ops[at].activation) return std::nullopt;
  const auto branch = branch_of(ops[at + 1].node, builder);
  if (!branch || branch->conv != ops[at].node) return std::nullopt;
  sum = BranchSum{};
  sum.branches = {*branch};
  sum.op = ops[at + 1];
  sum.lowered = 2;
  if (!merge(sum, builder)) return std::nullopt;
  return sum;
}

}  // namespace mobileone::training
