#include "mobileone/backends/fused/patterns/linear_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

// Units are panels of outputs, of all images at once: weights are read once.
class LinearStep : public TiledStep {
 public:
  LinearStep(StepInfo info, const Work& work, const kernels::LinearPlan& plan, int batch,
             std::shared_ptr<const void> weights, ValueId src, ValueId dst)
      : TiledStep(std::move(info), work),
        plan_(plan),
        batch_(batch),
        weights_(std::move(weights)),
        src_(src),
        dst_(dst) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    kernels::LinearArgs args;
    args.src = floats(buffers, src_);
    args.src_stride = kernels::padded(plan_.in_features);
    args.dst = floats(buffers, dst_);
    args.batch = batch_;
    args.packed = static_cast<const float*>(weights_.get());
    table().linear(plan_, args, range.begin, range.end);
  }

 private:
  kernels::LinearPlan plan_;
  int batch_;
  std::shared_ptr<const void> weights_;
  ValueId src_, dst_;
};

}  // namespace

void emit_linear(const LinearMatch& match, PlanBuilder& builder) {
  const Node& node = builder.node(match.linear);
  const auto& linear = std::get<Linear>(node.op);
  const kernels::LinearPlan plan{static_cast<int>(linear.in_features),
                                 static_cast<int>(linear.out_features), table().linear_columns};
  auto packed = builder.packed(node.name + " fused", plan.packed_bytes(), [&](void* out) {
    const NodeWeights weights(match.linear, builder);
    kernels::pack_linear(plan, weights.weight(), weights.bias(), static_cast<float*>(out));
  });
  announce(static_cast<const float*>(packed.get()), plan.packed_bytes(), builder);
  const ValueId src = builder.in_layout(match.source, Layout::blocked(kernels::kBlock));
  const ValueId dst = builder.new_result(match.result(), Layout::nchw(), true);
  TiledStep::Work work;
  work.units = plan.num_panels();
  work.threads = builder.options().threads;
  builder.add_step(
      std::make_unique<LinearStep>(describe(match.ops, builder, implementation()), work, plan,
                                   static_cast<int>(builder.shape(match.result())[0]),
                                   std::move(packed), src, dst),
      {src}, {dst});
}

}  // namespace mobileone::fused
