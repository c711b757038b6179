#include "mobileone/backends/single_run/support.hpp"

#include <cmath>
#include <numeric>

#include "mobileone/backends/single_run/backend.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::single_run {

namespace {

// A convolution in no sum, where kernels have it.
std::optional<BranchSum> match_convolution(const LoweredOp& op, const PlanBuilder& builder) {
  const auto* conv = std::get_if<Conv2d>(&builder.node(op.node).op);
  if (!conv || conv->dilation != Extent{1, 1}) return std::nullopt;
  const Extent one{1, 1}, two{2, 2};
  const bool depthwise = conv->depthwise() && conv->kernel == Extent{3, 3} &&
                         conv->padding == one && (conv->stride == one || conv->stride == two);
  if (conv->groups != 1 && !depthwise) return std::nullopt;
  BranchSum sum;
  sum.input = builder.node(op.node).inputs[0];
  sum.merged = *conv;
  sum.op = op;
  sum.lowered = 1;
  Branch branch;
  branch.conv = op.node;
  branch.taps.resize(static_cast<std::size_t>(sum.taps()));
  std::iota(branch.taps.begin(), branch.taps.end(), std::int64_t{0});
  sum.branches = {branch};
  return sum;
}

class SingleRunBackend : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    if (emit_linear(ops[at], builder)) return 1;
    const auto sum = match_sum(ops, at, builder);
    if (!sum) return 0;
    const bool emitted =
        sum->depthwise() ? emit_depthwise(*sum, builder) : emit_dense(*sum, builder);
    return emitted ? sum->lowered : 0;
  }

  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override;
};

// Blocks to planes: what a caller gets of a map.
std::unique_ptr<Step> SingleRunBackend::reorder(ValueId from, ValueId to,
                                                const PlanBuilder& builder) const {
  const Value &source = builder.value(from), &target = builder.value(to);
  if (source.shape.size() != 4 || source.layout != map_layout() ||
      target.layout != Layout::nchw()) {
    return nullptr;
  }
  StepInfo info;
  info.name = concat(to_string(source.layout), " -> ", to_string(target.layout));
  info.kind = "Reorder";
  info.implementation = concat("single run ", kernels::isa_name(table().isa));
  info.input_shapes = {source.shape};
  info.output_shape = target.shape;
  info.bytes = static_cast<std::int64_t>(source.bytes() + target.bytes());
  const std::int64_t images = source.shape[0], channels = source.shape[1];
  const std::int64_t pixels = source.shape[2] * source.shape[3], count = blocks(channels);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, images * count, [&](std::int64_t task, int) {
      const std::int64_t image = task / count, first = task % count * kBlock;
      const auto wide = static_cast<int>(std::min(kBlock, channels - first));
      table().block_to_planes({wide, pixels, pixels},
                              floats(buffers, from) + task * pixels * kBlock, nullptr,
                              floats(buffers, to) + (image * channels + first) * pixels);
    });
  };
  return function_step(std::move(info), run);
}

}  // namespace

BranchNorm::BranchNorm(const Branch& branch, std::int64_t count, const PlanBuilder& builder)
    : channels(count) {
  const Node& node = builder.node(branch.norm < 0 ? branch.conv : branch.norm);
  const auto floats_of = [&](const char* part) {
    return builder.network().weight(node.name + part).f32();
  };
  const auto* conv = std::get_if<Conv2d>(&node.op);
  if (!conv || conv->bias) beta = floats_of(".bias");
  if (conv) return;
  gamma = floats_of(".weight");
  mean = floats_of(".running_mean");
  variance = floats_of(".running_var");
  eps = std::get<BatchNorm>(node.op).eps;
}

BlockNorm::BlockNorm(const BranchNorm& norm, std::int64_t block) {
  const std::int64_t first = block * kBlock, count = std::min(kBlock, norm.channels - first);
  // Among the weights that stream by, the next block's line would come from memory when asked for.
  const auto read = [&](const float* from, double* to) {
    if (!from) return;
    __builtin_prefetch(from + first + kBlock);
    for (std::int64_t c = 0; c < count; ++c) to[c] = static_cast<double>(from[first + c]);
  };
  read(norm.beta, shift);
  if (!norm.gamma) {
    std::fill_n(scale, count, 1.0);
    return;
  }
  read(norm.gamma, scale);
  read(norm.mean, mean);
  double variances[kBlock];
  std::fill_n(variances, kBlock, 1.0);
  read(norm.variance, variances);
  kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    for (std::int64_t c = 0; c < kBlock; ++c) scale[c] /= std::sqrt(variances[c] + norm.eps);
  });
}

std::optional<BranchSum> match_sum(const std::vector<LoweredOp>& ops, std::size_t at,
                                   const PlanBuilder& builder) {
  auto sum = match(ops, at, builder);
  if (!sum) return match_convolution(ops[at], builder);
  // A norm's own activation, which nothing has been attached to.
  const std::size_t next = at + sum->lowered;
  const NodeId norm = sum->op.result;
  if (sum->op.activation || next >= ops.size() || builder.is_output(norm)) return sum;
  const Node& node = builder.node(ops[next].node);
  const auto* function = std::get_if<Activation>(&node.op);
  if (!function || node.inputs[0] != norm || builder.readers(norm).size() != 1) return sum;
  sum->op.result = ops[next].node;
  sum->op.activation = function->kind;
  ++sum->lowered;
  return sum;
}

std::optional<kernels::Activation> kernel_activation(std::optional<ActivationKind> kind) {
  return kind ? kernels::find_activation(to_string(*kind)) : kernels::Activation::kNone;
}

const float* float_weight(NodeId node, const PlanBuilder& builder) {
  return builder.network().weight(builder.node(node).name + ".weight").f32();
}

StepInfo describe_sum(const BranchSum& sum, const PlanBuilder& builder) {
  StepInfo info = describe(sum.op, builder, concat("single run ", kernels::isa_name(table().isa)));
  if (sum.lowered > 1) info.kind = concat("Branches > ", info.kind);
  info.input_shapes = {builder.shape(sum.input)};
  info.macs = 0;
  for (const Branch& branch : sum.branches) {
    if (branch.conv < 0) continue;
    const Node& conv = builder.node(branch.conv);
    info.macs += count_macs(conv.op, builder.shape(branch.conv));
    for (const Parameter& parameter : parameters(conv.name, conv.op)) {
      info.bytes += element_count(parameter.shape) * static_cast<std::int64_t>(sizeof(float));
    }
  }
  return info;
}

const Backend* backend() {
  static const SingleRunBackend instance;
  return kernels::supported_isas().empty() ? nullptr : &instance;
}

}  // namespace mobileone::single_run
