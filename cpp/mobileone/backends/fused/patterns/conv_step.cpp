#include "mobileone/backends/fused/patterns/conv_step.hpp"

#include "mobileone/backends/fused/strassen_guard.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/backends/fused/tiling.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/conv/phases.hpp"

namespace mobileone::fused {

namespace {

struct ConvOperands {
  ValueId src = -1, src2 = -1, residual = -1, dst = -1;
  std::ptrdiff_t fetched_floats = 0;
};

class ConvStep : public TiledStep {
 public:
  ConvStep(StepInfo info, const Work& work, PackedConv conv, const ConvOperands& operands)
      : TiledStep(std::move(info), work), conv_(std::move(conv)), operands_(operands) {}
  Prefetching prefetching() const override { return Prefetching::brings; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::ConvShape& shape = conv_.plan.shape;
    kernels::ConvArgs args;
    args.src = map_of(buffers, operands_.src, shape.src(), range.image);
    if (operands_.src2 >= 0) {
      args.src2 = map_of(buffers, operands_.src2, shape.src2(), range.image);
    }
    if (operands_.residual >= 0) {
      args.residual = map_of(buffers, operands_.residual, shape.dst(), range.image);
    }
    args.dst = map_of(buffers, operands_.dst, shape.dst(), range.image);
    args.packed = conv_.data();
    args.scratch = range.scratch;
    args.next_data = next().data;
    args.next_floats = next().floats;
    args.fetched_floats = operands_.fetched_floats;
    table().run_conv(conv_.plan, args, range.begin, range.end);
  }

 private:
  PackedConv conv_;
  ConvOperands operands_;
};

kernels::ConvShape shape_of(const DenseConvMatch& match, const PlanBuilder& builder) {
  const kernels::MapShape in = map_shape(builder.shape(match.source));
  kernels::ConvShape shape;
  shape.channels_in = in.channels;
  if (match.source2 >= 0) shape.channels_in2 = map_shape(builder.shape(match.source2)).channels;
  shape.channels_out = map_shape(builder.shape(match.result())).channels;
  shape.height = in.height;
  shape.width = in.width;
  const auto& conv = std::get<Conv2d>(builder.node(match.conv).op);
  shape.kernel = static_cast<int>(conv.kernel[0]);
  shape.dilation = static_cast<int>(conv.dilation[0]);
  shape.stride = static_cast<int>(conv.stride[0]);
  shape.epilogue = {match.activation, match.residual >= 0};
  return shape;
}

// Whether `automatic` may use fewer products: Winograd's of a 3x3 kernel, Strassen's of a 1x1 one
// whose weights are not too different in size, its channels' magnitudes being taken to be alike;
// reads all of them.
bool well_scaled(const DenseConvMatch& match, const kernels::ConvShape& shape,
                 const PlanBuilder& builder) {
  if (shape.kernel == 3) return true;
  if (shape.channels_in % 2 != 0 || shape.channels_out % 2 != 0) return false;
  const std::vector<float> ones(static_cast<std::size_t>(shape.channels_in), 1.0f);
  return strassen_growth(1, shape.channels_in, shape.channels_out, 0, nullptr, ones.data(),
                         NodeWeights(match.conv, builder).weight()) <= max_strassen_growth(1);
}

// With the forms of the kernel, which depend on the map's sides.
std::string phases_name(const kernels::ConvPlan& plan) {
  const auto forms = [&](int extent) {
    return kernels::PhaseAxis(extent, plan.shape.dilation).forms();
  };
  return concat("phases ", forms(plan.shape.height), "x", forms(plan.shape.width));
}

kernels::Tiling choose(kernels::TilingRequest request, const DenseConvMatch& match,
                       const kernels::ConvShape& shape, const PlanBuilder& builder) {
  const auto fastest = by_cost_model(shape);
  const kernels::Tiling tiling = fastest(request);
  const bool unsafe = request.choice == kernels::AlgorithmChoice::kAuto &&
                      tiling.algorithm == kernels::Algorithm::kStrassen &&
                      !well_scaled(match, shape, builder);
  request.choice = kernels::AlgorithmChoice::kDirect;
  return unsafe ? fastest(request) : tiling;
}

}  // namespace

PackedConv pack_dense_conv(const DenseConvMatch& match,
                           const std::function<bool(const kernels::ConvPlan&)>& fits,
                           PlanBuilder& builder) {
  const kernels::ConvShape shape = shape_of(match, builder);
  const std::string& name = builder.node(match.conv).name;
  const auto plan_of = [&](const kernels::Tiling& tiling) {
    return kernels::plan_conv(table().traits, shape, tiling);
  };
  const auto tuned =
      tuned_tiling(name, builder, [&] { return well_scaled(match, shape, builder) ? 1 : 0; });
  kernels::Tiling tiling = tiling_for(
      name, builder.shape(match.result())[0], false, tuned, builder,
      [&](const kernels::TilingRequest& request) {
        kernels::Tiling chosen = choose(request, match, shape, builder);
        while (fits && request.rows == 0 && chosen.tile_rows > 2 && !fits(plan_of(chosen))) {
          chosen.tile_rows -= 2;
        }
        return chosen;
      });
  if (fits) tiling.column_parts = 1;
  PackedConv packed;
  const kernels::ConvPlan& plan = packed.plan = plan_of(tiling);
  // Also what the packed weights are filed under: each has an order of its own.
  const std::string algorithm = plan.by_rows                ? "rows"
                                : plan.phases               ? phases_name(plan)
                                : plan.winograd             ? "winograd"
                                : plan.pointwise.strassen() ? "strassen"
                                                            : "direct";
  packed.weights =
      builder.packed(concat(name, " fused conv ", algorithm), plan.packed_bytes(), [&](void* out) {
        const NodeWeights weights(match.conv, builder);
        kernels::pack_conv(plan, weights.weight(), weights.bias(), static_cast<float*>(out));
      });
  packed.details =
      concat(algorithm, " rows=", plan.tile_rows, is_tuned(name, builder) ? " tuned" : "");
  return packed;
}

void emit_dense_conv(const DenseConvMatch& match, PlanBuilder& builder) {
  PackedConv conv = pack_dense_conv(match, nullptr, builder);
  ConvOperands operands;
  operands.fetched_floats = announce(conv.data(), conv.plan.packed_bytes(), builder);
  std::vector<ValueId> reads;
  const auto read = [&](NodeId id) {
    if (id < 0) return -1;
    reads.push_back(builder.in_layout(id, map_layout()));
    return reads.back();
  };
  operands.src = read(match.source);
  operands.src2 = read(match.source2);
  operands.residual = read(match.residual);
  operands.dst = builder.new_result(match.result(), map_layout());
  TiledStep::Work work;
  work.map = operands.dst;
  work.map_shape = conv.plan.shape.dst();
  work.images = builder.shape(match.result())[0];
  work.units = conv.plan.units();
  work.threads = builder.options().threads;
  work.thread_bytes = conv.plan.scratch_bytes();
  StepInfo info = describe(match.ops, builder, implementation(conv.details));
  builder.add_step(std::make_unique<ConvStep>(std::move(info), work, std::move(conv), operands),
                   reads, {work.map});
}

}  // namespace mobileone::fused
