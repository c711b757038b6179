#include "mobileone/backends/fused/patterns/linear_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

// Units are panels of outputs, of all images at once: weights are read once.
class LinearStep : public TiledStep {
 public:
  LinearStep(StepInfo info, const Work& work, const LinearWork& operands)
      : TiledStep(std::move(info), work), operands_(operands) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    kernels::LinearArgs args;
    args.src = floats(buffers, operands_.src);
    args.src_stride = kernels::padded(operands_.plan.in_features);
    args.dst = floats(buffers, operands_.dst);
    args.batch = operands_.batch;
    args.packed = static_cast<const float*>(operands_.weights.get());
    operands_.kernels->linear(operands_.plan, args, range.begin, range.end);
  }
  void finish_image(const Buffers& buffers, std::int64_t) const override {
    table().finish(operands_.activation, nullptr, floats(buffers, operands_.dst),
                   std::ptrdiff_t{operands_.batch} * operands_.plan.out_features);
  }

 private:
  LinearWork operands_;
};

// Fewer weights than this are read in no time: bfloat16 would only be less exact.
constexpr std::int64_t kMinBfloat16Weights = std::int64_t{1} << 16;

const kernels::KernelTable& kernels_of(const LinearMatch& match, const PlanBuilder& builder) {
  const std::int64_t weights = std::int64_t{match.in_features} * match.out_features;
  return weights < kMinBfloat16Weights ? table() : table(builder);
}

}  // namespace

void add_linear(StepInfo info, const LinearWork& operands, PlanBuilder& builder) {
  TiledStep::Work work;
  work.units = operands.plan.num_panels();
  work.threads = builder.options().threads;
  work.in_turn = operands.activation != kernels::Activation::kNone;
  builder.add_step(std::make_unique<LinearStep>(std::move(info), work, operands), {operands.src},
                   {operands.dst});
}

void emit_linear(const LinearMatch& match, PlanBuilder& builder) {
  const std::string& name = builder.node(match.layer).name;
  const bool is_conv = std::holds_alternative<Conv2d>(builder.node(match.layer).op);
  const kernels::KernelTable& kernels = kernels_of(match, builder);
  LinearWork operands;
  operands.kernels = &kernels;
  operands.plan = {match.in_features, match.out_features, kernels.traits.linear_columns(),
                   kernels.traits.per_lane};
  operands.batch = static_cast<int>(builder.shape(match.result())[0]);
  operands.activation = match.activation;
  const std::string key = concat(name, is_conv ? " fused linear" : " fused",
                                 note_precision(match.layer, kernels, builder));
  operands.weights = builder.packed(key, operands.plan.packed_bytes(), [&](void* out) {
    const NodeWeights weights(match.layer, builder);
    kernels::pack_linear(operands.plan, weights.weight(), weights.bias(), static_cast<float*>(out));
  });
  const auto* const packed = static_cast<const float*>(operands.weights.get());
  const std::ptrdiff_t next = announce(packed, operands.plan.packed_bytes(), builder);
  announce_stream(packed + next, operands.plan.packed_bytes() - sizeof(float) * std::size_t(next),
                  builder);
  operands.src = builder.in_layout(match.source, Layout::blocked(kernels::kBlock));
  operands.dst = is_conv ? builder.new_result(match.result(), Layout::blocked(kernels::kBlock))
                         : builder.new_result(match.result(), Layout::nchw(), true);
  add_linear(describe(match.ops, builder, implementation("", kernels)), operands, builder);
}

}  // namespace mobileone::fused
