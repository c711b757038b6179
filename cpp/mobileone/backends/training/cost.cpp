#include "mobileone/backends/training/cost.hpp"

namespace mobileone::training {

namespace {

// Of a branch's norm, and the addition of its result, per output: multiply-adds of a matrix product
// that take as long as its passes over memory, forward and backward.
constexpr double kNormForward = 60.0, kNormBackward = 120.0;

}  // namespace

// In multiply-adds, for M output pixels, K taps and O outputs; both paths have one convolution.
bool moments_are_faster(const BranchSum& sum, const PlanBuilder& builder) {
  if (sum.depthwise()) return true;  // 54 products per output, against passes over every branch
  const bool backward = builder.options().gradients;
  const bool input_gradient = backward && builder.wants_gradient(sum.input);
  const Shape& y = builder.shape(sum.op.result);
  const auto m = static_cast<double>(y[0] * y[2] * y[3]);
  const auto k = static_cast<double>(sum.taps()), o = static_cast<double>(y[1]);
  double branch_products = -k * o, mapped = 0.0;  // the merged one's is in both
  for (const Branch& branch : sum.branches) {
    branch_products += o * static_cast<double>(branch.taps.size());
    if (branch.conv >= 0) mapped += o * k * k;
  }
  const double passes = 1.0 + (backward ? 1.0 : 0.0) + (input_gradient ? 1.0 : 0.0);
  const double norms = static_cast<double>(sum.branches.size()) * o *
                       (kNormForward + (backward ? kNormBackward : 0.0));
  const double branches = m * (passes * branch_products + norms);
  const double moments = m * k * k * (input_gradient ? 1.5 : 0.5) + mapped * (backward ? 2.0 : 1.0);
  return moments < branches;
}

}  // namespace mobileone::training
