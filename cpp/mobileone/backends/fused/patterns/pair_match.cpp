#include "mobileone/backends/fused/patterns/pair_match.hpp"

namespace mobileone::fused {

namespace {

using Ops = std::vector<LoweredOp>;

template <typename T>
const T* get(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  return at < ops.size() ? std::get_if<T>(&builder.node(ops[at].node).op) : nullptr;
}

bool is_conv(const Conv2d& op, std::int64_t kernel) {
  return op.kernel == Extent{kernel, kernel} && op.padding == Extent{kernel / 2, kernel / 2} &&
         op.dilation == Extent{1, 1} && op.stride[0] == op.stride[1];
}

NodeId input_of(const LoweredOp& op, const PlanBuilder& builder) {
  return builder.node(op.node).inputs[0];
}

bool read_only_by_next(NodeId result, const PlanBuilder& builder) {
  return builder.readers(result).size() == 1 && !builder.is_output(result);
}

bool relu_or_nothing(const LoweredOp& op) {
  return !op.activation || *op.activation == ActivationKind::relu;
}

// pool -> 1x1 + ReLU -> 1x1 + sigmoid -> multiply, on the result of ops[at].
std::optional<SqueezeMatch> match_squeeze(const Ops& ops, std::size_t at,
                                          const PlanBuilder& builder) {
  const auto* reduce = get<Conv2d>(ops, at + 2, builder);
  const auto* expand = get<Conv2d>(ops, at + 3, builder);
  if (!get<GlobalAvgPool>(ops, at + 1, builder) || !reduce || !expand ||
      !get<Multiply>(ops, at + 4, builder)) {
    return std::nullopt;
  }
  const NodeId scaled = ops[at].result;
  const Node& scale = builder.node(ops[at + 4].node);
  const bool chained = !ops[at].activation && input_of(ops[at + 1], builder) == scaled &&
                       input_of(ops[at + 2], builder) == ops[at + 1].result &&
                       input_of(ops[at + 3], builder) == ops[at + 2].result &&
                       scale.inputs == std::vector<NodeId>{scaled, ops[at + 3].result} &&
                       builder.readers(scaled).size() == 2 && !builder.is_output(scaled) &&
                       read_only_by_next(ops[at + 1].result, builder) &&
                       read_only_by_next(ops[at + 2].result, builder) &&
                       read_only_by_next(ops[at + 3].result, builder);
  const bool plain = reduce->bias && expand->bias && is_conv(*reduce, 1) && is_conv(*expand, 1) &&
                     reduce->groups == 1 && expand->groups == 1 &&
                     ops[at + 2].activation == ActivationKind::relu &&
                     ops[at + 3].activation == ActivationKind::sigmoid &&
                     relu_or_nothing(ops[at + 4]);
  if (!chained || !plain) return std::nullopt;
  return SqueezeMatch{builder.node(ops[at + 2].node).name, builder.node(ops[at + 3].node).name,
                      reduce->in_channels, reduce->out_channels};
}

std::optional<ConvMatch> match_conv(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  const auto* conv = get<Conv2d>(ops, at, builder);
  if (!conv || !conv->bias || !relu_or_nothing(ops[at])) return std::nullopt;
  ConvMatch match{&ops[at], match_squeeze(ops, at, builder), ops[at].activation.has_value(),
                  ops[at].result, 1};
  if (match.squeeze) {
    match.taken = 5;
    match.relu = ops[at + 4].activation.has_value();
    match.result = ops[at + 4].result;
  }
  return match;
}

// Everything but the pointwise's SE.
std::optional<PairMatch> match_two(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  const auto depthwise = match_conv(ops, at, builder);
  if (!depthwise) return std::nullopt;
  const auto& dw = std::get<Conv2d>(builder.node(depthwise->conv->node).op);
  if (!dw.depthwise() || !is_conv(dw, 3) || dw.stride[0] > 2) return std::nullopt;
  const auto pointwise = match_conv(ops, at + depthwise->taken, builder);
  if (!pointwise || input_of(*pointwise->conv, builder) != depthwise->result ||
      !read_only_by_next(depthwise->result, builder)) {
    return std::nullopt;
  }
  const auto& pw = std::get<Conv2d>(builder.node(pointwise->conv->node).op);
  if (!is_conv(pw, 1) || pw.groups != 1 || pw.stride[0] != 1) return std::nullopt;
  return PairMatch{*depthwise,        *pointwise,
                   dw.stride[0],      input_of(*depthwise->conv, builder),
                   pointwise->result, depthwise->taken + pointwise->taken};
}

bool applies_factor(const Ops& ops, std::size_t at, NodeId result, const PlanBuilder& builder) {
  if (!read_only_by_next(result, builder) || at >= ops.size() ||
      input_of(ops[at], builder) != result) {
    return false;
  }
  return get<GlobalAvgPool>(ops, at, builder) || match_two(ops, at, builder).has_value();
}

}  // namespace

std::optional<PairMatch> match_pair(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  auto pair = match_two(ops, at, builder);
  if (!pair || !pair->pointwise.squeeze) return pair;
  if (applies_factor(ops, at + pair->taken, pair->result, builder)) return pair;
  // The SE is left to other steps: the pair ends at its pointwise convolution.
  ConvMatch& pointwise = pair->pointwise;
  pair->taken -= pointwise.taken - 1;
  pointwise.squeeze.reset();
  pointwise.relu = false;
  pointwise.taken = 1;
  pair->result = pointwise.result = pointwise.conv->result;
  return pair;
}

std::optional<ConvMatch> match_stem(const Ops& ops, std::size_t at, const PlanBuilder& builder) {
  auto stem = match_conv(ops, at, builder);
  if (!stem || stem->squeeze) return std::nullopt;
  const auto& conv = std::get<Conv2d>(builder.node(stem->conv->node).op);
  const bool fits = conv.in_channels == 3 && conv.groups == 1 && is_conv(conv, 3) &&
                    conv.stride[0] == 2 &&
                    std::holds_alternative<Input>(builder.node(input_of(*stem->conv, builder)).op);
  return fits ? stem : std::nullopt;
}

}  // namespace mobileone::fused
