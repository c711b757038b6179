#include "mobileone/backends/fused/patterns/inverted_residual_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/backends/fused/tiling.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

using kernels::InvertedResidualPlan;

class InvertedResidualStep : public TiledStep {
 public:
  InvertedResidualStep(StepInfo info, const Work& work, const InvertedResidualPlan& plan,
                       ValueId source, std::shared_ptr<const void> weights)
      : TiledStep(std::move(info), work),
        plan_(plan),
        source_(source),
        weights_(std::move(weights)) {}
  Prefetching prefetching() const override { return Prefetching::brings; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    kernels::InvertedResidualArgs args;
    args.src = map_of(buffers, source_, plan_.shape.src(), range.image);
    args.dst = map_of(buffers, work().map, plan_.shape.dst(), range.image);
    args.packed = static_cast<const float*>(weights_.get());
    args.scratch = range.scratch;
    args.next_data = next().data;
    args.next_floats = next().floats;
    table().run_inverted_residual(plan_, args, range.begin, range.end);
  }

 private:
  InvertedResidualPlan plan_;
  ValueId source_;
  std::shared_ptr<const void> weights_;
};

kernels::InvertedResidualShape shape_of(const InvertedResidualMatch& match,
                                        const PlanBuilder& builder) {
  const kernels::MapShape in = map_shape(builder.shape(match.source));
  const auto& depthwise = std::get<Conv2d>(builder.node(match.depthwise).op);
  kernels::InvertedResidualShape shape;
  shape.channels_in = in.channels;
  shape.hidden = static_cast<int>(depthwise.out_channels);
  shape.channels_out = map_shape(builder.shape(match.result())).channels;
  shape.height = in.height;
  shape.width = in.width;
  shape.stride = static_cast<int>(depthwise.stride[0]);
  shape.activation = match.activation;
  shape.residual = match.residual;
  return shape;
}

kernels::InvertedResidualWeights weights_of(const InvertedResidualMatch& match,
                                            const PlanBuilder& builder) {
  const NodeWeights expand(match.expand, builder), depthwise(match.depthwise, builder),
      project(match.project, builder);
  return {expand.weight(),  expand.bias(),    depthwise.weight(),
          depthwise.bias(), project.weight(), project.bias()};
}

// Every part of the work computes the expanded rows at its upper edge once more: few parts.
constexpr int kRowsPerPart = 16;

}  // namespace

void emit_inverted_residual(const InvertedResidualMatch& match, PlanBuilder& builder) {
  const kernels::InvertedResidualShape shape = shape_of(match, builder);
  const std::string& name = builder.node(match.project).name;
  const std::int64_t images = builder.shape(match.result())[0];
  const kernels::Tiling tiling = tiling_for(name, images, false, builder, by_cost_model(shape));
  const auto plan = kernels::plan_inverted_residual(table().panel_blocks, shape, tiling.tile_rows,
                                                    tiling.algorithm);
  const char* algorithm = plan.project.strassen() ? "strassen" : "direct";
  auto weights =
      builder.packed(concat(name, " fused block ", algorithm), plan.packed_bytes(), [&](void* out) {
        kernels::pack_inverted_residual(plan, weights_of(match, builder), static_cast<float*>(out));
      });
  announce(static_cast<const float*>(weights.get()), plan.packed_bytes(), builder);
  const ValueId source = builder.in_layout(match.source, map_layout());
  TiledStep::Work work;
  work.map = builder.new_result(match.result(), map_layout());
  work.map_shape = shape.dst();
  work.images = images;
  work.units = plan.tiles();
  work.threads = builder.options().threads;
  const std::int64_t rows = images * shape.out_height();
  work.parts_per_thread =
      static_cast<int>(std::clamp<std::int64_t>(rows / kRowsPerPart / work.threads, 1, 4));
  work.thread_bytes = plan.scratch_bytes();
  StepInfo info =
      describe(match.ops, builder, implementation(concat(algorithm, " rows=", plan.tile_rows)));
  builder.add_step(std::make_unique<InvertedResidualStep>(std::move(info), work, plan, source,
                                                          std::move(weights)),
                   {source}, {work.map});
}

}  // namespace mobileone::fused
