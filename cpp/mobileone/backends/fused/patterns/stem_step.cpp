#include "mobileone/backends/fused/patterns/stem_step.hpp"

#include "mobileone/backends/fused/patterns/conv_step.hpp"
#include "mobileone/backends/fused/patterns/packed_block.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/backends/fused/tiling.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

struct StemOperands {
  kernels::StemPlan plan;
  std::shared_ptr<const void> weights;
  ValueId src = -1, dst = -1;

  const float* image(const Buffers& buffers, std::int64_t index) const {
    const std::ptrdiff_t pixels = std::ptrdiff_t{plan.height} * plan.width;
    return static_cast<const float*>(buffers.address(src)) +
           index * pixels * kernels::kImageChannels;
  }
  const float* packed() const { return static_cast<const float*>(weights.get()); }
};

// Units are rows.
class StemStep : public TiledStep {
 public:
  StemStep(StepInfo info, const Work& work, const kernels::KernelTable& kernels,
           StemOperands operands)
      : TiledStep(std::move(info), work), kernels_(kernels), operands_(std::move(operands)) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::StemArgs args{operands_.image(buffers, range.image),
                                 map_of(buffers, operands_.dst, operands_.plan.dst(), range.image),
                                 operands_.packed(), range.scratch};
    kernels_.run_stem(operands_.plan, args, range.begin, range.end);
  }

 private:
  const kernels::KernelTable& kernels_;
  StemOperands operands_;
};

class StemBlockStep : public TiledStep {
 public:
  StemBlockStep(StepInfo info, const Work& work, const kernels::KernelTable& kernels,
                StemOperands operands, PackedBlock block)
      : TiledStep(std::move(info), work),
        kernels_(kernels),
        operands_(std::move(operands)),
        block_(std::move(block)),
        plan_(kernels::plan_stem_block(operands_.plan, block_.plan)) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::StemBlockArgs args{
        operands_.image(buffers, range.image),
        map_of(buffers, operands_.dst, block_.plan.shape.dst(), range.image), operands_.packed(),
        block_.data(), range.scratch};
    kernels_.run_stem_block(plan_, args, range.begin, range.end);
  }

 private:
  const kernels::KernelTable& kernels_;
  StemOperands operands_;
  PackedBlock block_;
  kernels::StemBlockPlan plan_;
};

// Units are tiles of the convolution.
class StemConvStep : public TiledStep {
 public:
  StemConvStep(StepInfo info, const Work& work, StemOperands operands, PackedConv conv)
      : TiledStep(std::move(info), work),
        operands_(std::move(operands)),
        conv_(std::move(conv)),
        plan_(kernels::plan_stem_conv(operands_.plan, conv_.plan)) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::StemConvArgs args{
        operands_.image(buffers, range.image),
        map_of(buffers, operands_.dst, conv_.plan.shape.dst(), range.image), operands_.packed(),
        conv_.data(), range.scratch};
    table().run_stem_conv(plan_, args, range.begin, range.end);
  }

 private:
  StemOperands operands_;
  PackedConv conv_;
  kernels::StemConvPlan plan_;
};

// Row by row or by windows; of bfloat16 there is no choice.
kernels::StemPlan plan_of(const StemMatch& match, const kernels::KernelTable& kernels,
                          PlanBuilder& builder) {
  const Node& node = builder.node(match.conv);
  const Shape& image = builder.shape(node.inputs[0]);
  const kernels::MapShape in = map_shape(image);
  const int channels = static_cast<int>(std::get<Conv2d>(node.op).out_channels);
  const auto plan = [&](kernels::Algorithm algorithm) {
    return kernels::plan_stem(kernels.traits, in.height, in.width, channels, match.activation,
                              algorithm);
  };
  const kernels::StemPlan direct = plan(kernels::Algorithm::kDirect);
  if (kernels.traits.per_lane != 1) return direct;
  const auto tuned = tuned_tiling(node.name, builder, [] { return 1; });
  return plan(tiling_for(node.name, image[0], false, tuned, builder, by_cost_model(direct, kernels))
                  .algorithm);
}

// Everything but where the result goes, for the kernels that will run it.
StemOperands pack_stem(const StemMatch& match, const kernels::KernelTable& kernels,
                       PlanBuilder& builder) {
  const Node& node = builder.node(match.conv);
  StemOperands operands;
  operands.plan = plan_of(match, kernels, builder);
  const std::string precision = note_precision(match.conv, kernels, builder);
  const char* const kind = operands.plan.by_windows() ? " fused windows" : " fused";
  const std::string key = node.name + (precision.empty() ? kind : precision);
  operands.weights = builder.packed(key, operands.plan.packed_bytes(), [&](void* out) {
    const NodeWeights weights(match.conv, builder);
    kernels::pack_stem(operands.plan, weights.weight(), weights.bias(), static_cast<float*>(out));
  });
  operands.src = builder.value_of(node.inputs[0]);
  return operands;
}

// What profile() says of a step: how the stem runs, unless row by row, and what follows it.
std::string details_of(const kernels::StemPlan& plan, const std::string& rest) {
  if (!plan.by_windows()) return rest;
  return rest.empty() ? "windows" : "windows, then " + rest;
}

// Of L2, what a tile of stem and convolution may use.
constexpr double kTileShare = 0.6;

}  // namespace

void emit_stem_conv(const StemConvMatch& match, PlanBuilder& builder) {
  StemOperands operands = pack_stem(match.stem, table(), builder);
  const ValueId src = operands.src;
  const double room = kTileShare * kernels::machine_model(table()).l2_bytes;
  const auto fits = [&](const kernels::ConvPlan& plan) {
    return double(kernels::plan_stem_conv(operands.plan, plan).scratch_bytes()) <= room;
  };
  PackedConv conv = pack_dense_conv(match.conv, fits, builder);
  TiledStep::Work work;
  work.map = operands.dst = builder.new_result(match.result(), map_layout());
  work.map_shape = conv.plan.shape.dst();
  work.images = builder.shape(match.result())[0];
  work.units = conv.plan.units();
  work.threads = builder.options().threads;
  work.thread_bytes = kernels::plan_stem_conv(operands.plan, conv.plan).scratch_bytes();
  StepInfo info =
      describe(match.ops, builder, implementation(details_of(operands.plan, conv.details)));
  builder.add_step(
      std::make_unique<StemConvStep>(std::move(info), work, std::move(operands), std::move(conv)),
      {src}, {work.map});
}

void emit_stem(const StemMatch& match, PlanBuilder& builder) {
  StemOperands operands = pack_stem(match, table(builder), builder);
  const ValueId src = operands.src;
  TiledStep::Work work;
  work.map = operands.dst = builder.new_result(match.result(), map_layout());
  work.map_shape = operands.plan.dst();
  work.images = builder.shape(match.result())[0];
  work.units = work.map_shape.height;
  work.threads = builder.options().threads;
  work.thread_bytes = operands.plan.scratch_bytes();
  StepInfo info =
      describe(match.ops, builder, implementation(details_of(operands.plan, ""), table(builder)));
  builder.add_step(
      std::make_unique<StemStep>(std::move(info), work, table(builder), std::move(operands)), {src},
      {work.map});
}

void emit_stem_block(const StemBlockMatch& match, PlanBuilder& builder) {
  StemOperands operands = pack_stem(match.stem, table(builder), builder);
  const ValueId src = operands.src;
  PackedBlock block = pack_block(match.block, true, builder);
  TiledStep::Work work;
  work.map = operands.dst = builder.new_result(match.result(), map_layout());
  work.map_shape = block.plan.shape.dst();
  work.images = builder.shape(match.result())[0];
  work.units = block.plan.tiles();
  work.threads = builder.options().threads;
  work.thread_bytes = kernels::plan_stem_block(operands.plan, block.plan).scratch_bytes();
  StepInfo info =
      describe(match.ops, builder,
               implementation(details_of(operands.plan, block.details()), table(builder)));
  builder.add_step(std::make_unique<StemBlockStep>(std::move(info), work, table(builder),
                                                   std::move(operands), std::move(block)),
                   {src}, {work.map});
}

}  // namespace mobileone::fused
