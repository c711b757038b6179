#include "mobileone/backends/fused/patterns/conv_match.hpp"

#include <algorithm>

namespace mobileone::fused {

namespace {

using Ops = std::vector<LoweredOp>;

template <typename T>
const T* get(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  return at < ops.size() ? std::get_if<T>(&builder.node(ops[at].node).op) : nullptr;
}

const std::vector<NodeId>& inputs(const LoweredOp& op, const PlanBuilder& builder) {
  return builder.node(op.node).inputs;
}

bool is_square(const Conv2d& op, std::int64_t kernel, std::int64_t stride) {
  return op.kernel == Extent{kernel, kernel} && op.padding == Extent{kernel / 2, kernel / 2} &&
         op.dilation == Extent{1, 1} && op.stride == Extent{stride, stride};
}

bool is_dense(const Conv2d& op, std::int64_t kernel, std::int64_t stride) {
  return op.groups == 1 && is_square(op, kernel, stride);
}

// Whether ops[at + 1] reads the result of ops[at] and nothing else does.
bool hands_over(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  if (at + 1 >= ops.size()) return false;
  const NodeId result = ops[at].result;
  const auto& next = inputs(ops[at + 1], builder);
  return builder.readers(result).size() == 1 && !builder.is_output(result) &&
         std::count(next.begin(), next.end(), result) == 1;
}

// The other summand where ops[at + 1] adds something to the result of ops[at]; -1 otherwise.
NodeId added_to(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  if (!get<Add>(ops, at + 1, builder) || !hands_over(ops, at, builder) || ops[at].activation) {
    return -1;
  }
  const auto& summands = inputs(ops[at + 1], builder);
  if (summands.size() != 2) return -1;
  return summands[0] == ops[at].result ? summands[1] : summands[0];
}

}  // namespace

std::optional<kernels::Activation> kernel_activation(const LoweredOp& op) {
  if (!op.activation) return kernels::Activation::kNone;
  if (*op.activation == ActivationKind::relu) return kernels::Activation::kRelu;
  if (*op.activation == ActivationKind::silu) return kernels::Activation::kSilu;
  return std::nullopt;
}

std::optional<DenseConvMatch> match_dense_conv(const Ops& ops, std::size_t at,
                                               const PlanBuilder& builder) {
  DenseConvMatch match;
  const auto& sources = inputs(ops[at], builder);
  match.source = sources[0];
  if (get<Concat>(ops, at, builder)) {
    if (sources.size() != 2 || ops[at].activation || !hands_over(ops, at, builder)) {
      return std::nullopt;
    }
    match.source2 = sources[1];
    match.taken = 1;
  }
  const std::size_t conv_at = at + match.taken;
  const auto* conv = get<Conv2d>(ops, conv_at, builder);
  const bool fits = conv && (is_dense(*conv, 1, 1) || is_dense(*conv, 3, 1)) &&
                    kernel_activation(ops[conv_at]).has_value();
  if (!fits) return std::nullopt;
  match.conv = ops[conv_at].node;
  match.residual = added_to(ops, conv_at, builder);
  match.taken += match.residual < 0 ? 1 : 2;
  const LoweredOp& last = ops[at + match.taken - 1];
  const auto activation = kernel_activation(last);
  if (!activation) return std::nullopt;
  match.activation = *activation;
  match.result = last.result;
  return match;
}

std::optional<InvertedResidualMatch> match_inverted_residual(const Ops& ops, std::size_t at,
                                                             const PlanBuilder& builder) {
  const auto* expand = get<Conv2d>(ops, at, builder);
  const auto* depthwise = get<Conv2d>(ops, at + 1, builder);
  const auto* project = get<Conv2d>(ops, at + 2, builder);
  if (!expand || !depthwise || !project) return std::nullopt;
  const auto activation = kernel_activation(ops[at]);
  const std::int64_t stride = depthwise->stride[0];
  const bool fits = activation && ops[at + 1].activation == ops[at].activation &&
                    !ops[at + 2].activation && is_dense(*expand, 1, 1) && stride <= 2 &&
                    depthwise->depthwise() && is_square(*depthwise, 3, stride) &&
                    is_dense(*project, 1, 1) && hands_over(ops, at, builder) &&
                    hands_over(ops, at + 1, builder);
  if (!fits) return std::nullopt;
  InvertedResidualMatch match{inputs(ops[at], builder)[0],
                              ops[at].node,
                              ops[at + 1].node,
                              ops[at + 2].node,
                              ops[at + 2].result,
                              *activation,
                              false,
                              3};
  if (added_to(ops, at + 2, builder) == match.source && !ops[at + 3].activation) {
    match.residual = true;
    match.result = ops[at + 3].result;
    match.taken = 4;
  }
  return match;
}

bool is_silu_stem(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  const auto* conv = get<Conv2d>(ops, at, builder);
  return conv && conv->in_channels == 3 && is_dense(*conv, 3, 2) &&
         ops[at].activation == ActivationKind::silu &&
         std::holds_alternative<Input>(builder.node(inputs(ops[at], builder)[0]).op);
}

}  // namespace mobileone::fused
