#include "mobileone/backends/fused/conv_steps.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

constexpr int kRowsPerUnit = 4;

class SiluStemStep : public TiledStep {
 public:
  SiluStemStep(StepInfo info, const Work& work, const kernels::StemPlan& plan, ValueId source,
               std::shared_ptr<const void> weights)
      : TiledStep(std::move(info), work),
        plan_(plan),
        source_(source),
        result_(work.result),
        weights_(std::move(weights)) {}

  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::MapShape map = plan_.dst();
    const std::ptrdiff_t image_floats =
        std::ptrdiff_t{kernels::kImageChannels} * plan_.height * plan_.width;
    kernels::StemArgs args;
    args.image = static_cast<const float*>(buffers.address(source_)) + range.image * image_floats;
    args.dst = map_of(buffers, result_, map, range.image);
    args.packed = static_cast<const float*>(weights_.get());
    args.scratch = range.scratch;
    for (int unit = range.begin; unit < range.end; ++unit) {
      const int begin = unit * kRowsPerUnit;
      const int end = std::min(begin + kRowsPerUnit, map.height);
      table().run_stem(plan_, args, begin, end);
    }
  }

 private:
  kernels::StemPlan plan_;
  ValueId source_, result_;
  std::shared_ptr<const void> weights_;
};

}  // namespace

void emit_silu_stem(const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const kernels::MapShape in = map_shape(builder.shape(node.inputs[0]));
  const auto plan =
      kernels::plan_stem(table().traits, in.height, in.width,
                         static_cast<int>(builder.shape(op.result)[1]), kernels::Activation::kSilu);
  auto weights = builder.packed(node.name + " fused", plan.packed_bytes(), [&](void* out) {
    kernels::pack_stem(plan, weight_data(builder, node.name + ".weight"),
                       weight_data(builder, node.name + ".bias", std::get<Conv2d>(node.op).bias),
                       static_cast<float*>(out));
  });
  const ValueId source = builder.value_of(node.inputs[0]);
  TiledStep::Work work;
  work.map = plan.dst();
  work.result = builder.new_result(op.result, map_layout());
  work.images = builder.shape(op.result)[0];
  work.units = kernels::ceil_div(plan.out_height(), kRowsPerUnit);
  work.threads = builder.options().threads;
  work.thread_bytes = plan.scratch_bytes();
  StepInfo info = describe(op, builder, concat("fused ", kernels::isa_name(table().isa)));
  builder.add_step(
      std::make_unique<SiluStemStep>(std::move(info), work, plan, source, std::move(weights)),
      {source}, {work.result});
}

}  // namespace mobileone::fused
