#include "mobileone/backends/fused/patterns/depthwise_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

struct DepthwiseOperands {
  std::shared_ptr<const void> weights;
  ValueId src = -1, residual = -1, dst = -1;
};

class DepthwiseStep : public TiledStep {
 public:
  DepthwiseStep(StepInfo info, const Work& work, const kernels::DepthwiseMapPlan& plan,
                DepthwiseOperands operands)
      : TiledStep(std::move(info), work), plan_(plan), operands_(std::move(operands)) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::DepthwiseMapShape& shape = plan_.shape;
    kernels::DepthwiseMapArgs args;
    args.src = map_of(buffers, operands_.src, shape.src(), range.image);
    if (operands_.residual >= 0) {
      args.residual = map_of(buffers, operands_.residual, shape.dst(), range.image);
    }
    args.dst = map_of(buffers, operands_.dst, shape.dst(), range.image);
    args.packed = static_cast<const float*>(operands_.weights.get());
    args.scratch = range.scratch;
    table().run_depthwise_map(plan_, args, range.begin, range.end);
  }

 private:
  kernels::DepthwiseMapPlan plan_;
  DepthwiseOperands operands_;
};

kernels::DepthwiseMapShape shape_of(const DepthwiseMatch& match, const PlanBuilder& builder) {
  const kernels::MapShape in = map_shape(builder.shape(match.source));
  const auto& conv = std::get<Conv2d>(builder.node(match.conv).op);
  kernels::DepthwiseMapShape shape;
  shape.channels_in = in.channels;
  shape.multiplier = static_cast<int>(conv.out_channels / conv.in_channels);
  shape.height = in.height;
  shape.width = in.width;
  shape.kernel = static_cast<int>(conv.kernel[0]);
  shape.stride = static_cast<int>(conv.stride[0]);
  shape.epilogue = {match.activation, match.residual >= 0};
  return shape;
}

}  // namespace

void emit_depthwise(const DepthwiseMatch& match, PlanBuilder& builder) {
  const auto plan = kernels::plan_depthwise_map(shape_of(match, builder));
  const auto pack = [&](void* out) {
    const NodeWeights weights(match.conv, builder);
    kernels::pack_depthwise(plan.shape.channels_out(), plan.shape.kernel, weights.weight(),
                            weights.bias(), static_cast<float*>(out));
  };
  DepthwiseOperands operands;
  operands.weights =
      builder.packed(builder.node(match.conv).name + " fused depthwise", plan.packed_bytes(), pack);
  std::vector<ValueId> reads;
  const auto read = [&](NodeId id) {
    if (id < 0) return -1;
    reads.push_back(builder.in_layout(id, map_layout()));
    return reads.back();
  };
  operands.src = read(match.source);
  operands.residual = read(match.residual);
  operands.dst = builder.new_result(match.result(), map_layout());
  TiledStep::Work work;
  work.map = operands.dst;
  work.map_shape = plan.shape.dst();
  work.images = builder.shape(match.result())[0];
  work.units = plan.units();
  work.threads = builder.options().threads;
  work.thread_bytes = plan.scratch_bytes();
  StepInfo info = describe(match.ops, builder, implementation("depthwise"));
  builder.add_step(
      std::make_unique<DepthwiseStep>(std::move(info), work, plan, std::move(operands)), reads,
      {work.map});
}

}  // namespace mobileone::fused
