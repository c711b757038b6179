#include "mobileone/backends/fused/conv_steps.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::fused {

namespace {

using kernels::BlockPlan;

class InvertedResidualStep : public TiledStep {
 public:
  InvertedResidualStep(StepInfo info, const Work& work, const BlockPlan& plan, ValueId source,
                       std::shared_ptr<const void> weights)
      : TiledStep(std::move(info), work),
        plan_(plan),
        source_(source),
        result_(work.result),
        weights_(std::move(weights)) {}

  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    kernels::BlockArgs args;
    args.src = map_of(buffers, source_, plan_.shape.src(), range.image);
    args.dst = map_of(buffers, result_, plan_.shape.dst(), range.image);
    args.packed = static_cast<const float*>(weights_.get());
    args.scratch = range.scratch;
    args.next_data = next_data();
    args.next_floats = next_floats();
    table().run_block(plan_, args, range.begin, range.end);
  }

 private:
  BlockPlan plan_;
  ValueId source_, result_;
  std::shared_ptr<const void> weights_;
};

kernels::BlockShape shape_of(const InvertedResidualMatch& match, const PlanBuilder& builder) {
  const kernels::MapShape in = map_shape(builder.shape(match.source));
  const auto& depthwise = std::get<Conv2d>(builder.node(match.depthwise).op);
  kernels::BlockShape shape;
  shape.channels_in = in.channels;
  shape.expanded = static_cast<int>(depthwise.out_channels);
  shape.channels_out = map_shape(builder.shape(match.result)).channels;
  shape.height = in.height;
  shape.width = in.width;
  shape.stride = static_cast<int>(depthwise.stride[0]);
  shape.expand_activation = shape.depthwise_activation = match.activation;
  shape.project.residual = match.residual;
  return shape;
}

kernels::BlockWeights weights_of(const InvertedResidualMatch& match, const PlanBuilder& builder) {
  const auto weight = [&](NodeId id) {
    return weight_data(builder, builder.node(id).name + ".weight");
  };
  const auto bias = [&](NodeId id) {
    const Node& node = builder.node(id);
    return weight_data(builder, node.name + ".bias", std::get<Conv2d>(node.op).bias);
  };
  return {weight(match.expand),  bias(match.expand),    weight(match.depthwise),
          bias(match.depthwise), weight(match.project), bias(match.project)};
}

// Every part of the work computes the expanded rows at its upper edge once more: few parts.
constexpr int kRowsPerPart = 16;

}  // namespace

void emit_inverted_residual(const InvertedResidualMatch& match,
                            const std::vector<const LoweredOp*>& ops, PlanBuilder& builder) {
  const kernels::BlockShape shape = shape_of(match, builder);
  const std::string& name = builder.node(match.project).name;
  const std::int64_t images = builder.shape(match.result)[0];
  const kernels::Tiling tiling =
      tiling_for(name, images, builder, [&](kernels::AlgorithmChoice choice, int threads) {
        return kernels::choose_tiling(table(), kernels::machine_model(table()), shape, choice,
                                      threads);
      });
  const auto plan = kernels::plan_block(table().traits, shape, tiling);
  const char* algorithm = plan.project.strassen() ? "strassen" : "direct";
  auto weights =
      builder.packed(concat(name, " fused block ", algorithm), plan.packed_bytes(), [&](void* out) {
        kernels::pack_block(plan, weights_of(match, builder), static_cast<float*>(out));
      });
  announce(static_cast<const float*>(weights.get()), plan.packed_bytes(), builder);
  const ValueId source = builder.in_layout(match.source, map_layout());
  TiledStep::Work work;
  work.map = shape.dst();
  work.result = builder.new_result(match.result, map_layout());
  work.images = images;
  work.units = plan.units();
  work.threads = builder.options().threads;
  const std::int64_t rows = images * shape.out_height();
  work.parts_per_thread =
      static_cast<int>(std::clamp<std::int64_t>(rows / kRowsPerPart / work.threads, 1, 4));
  work.thread_bytes = plan.scratch_bytes();
  StepInfo info = describe(
      ops, builder,
      concat("fused ", kernels::isa_name(table().isa), " ", algorithm, " rows=", plan.tile_rows));
  builder.add_step(std::make_unique<InvertedResidualStep>(std::move(info), work, plan, source,
                                                          std::move(weights)),
                   {source}, {work.result});
}

}  // namespace mobileone::fused
