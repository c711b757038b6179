#include "mobileone/backends/fused/patterns/stem_step.hpp"

#include "mobileone/backends/fused/activation.hpp"
#include "mobileone/backends/fused/patterns/pair_step.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

struct StemOperands {
  kernels::StemPlan plan;
  kernels::Activation activation = kernels::Activation::kNone;
  std::shared_ptr<const void> weights;
  ValueId src = -1, dst = -1;

  const float* image(const Buffers& buffers, std::int64_t index) const {
    const std::ptrdiff_t pixels = std::ptrdiff_t{plan.height} * plan.width;
    return static_cast<const float*>(buffers.address(src)) +
           index * pixels * kernels::kImageChannels;
  }
  const float* packed() const { return static_cast<const float*>(weights.get()); }
};

// Units are rows where the activation is a floor. Others are applied to what has just been written:
// few enough rows at a time to be in L1 and L2.
constexpr int kRowsInCache = 4;

class StemStep : public TiledStep {
 public:
  StemStep(StepInfo info, const Work& work, StemOperands operands)
      : TiledStep(std::move(info), work), operands_(std::move(operands)) {}

  static int rows_per_unit(kernels::Activation activation) {
    return is_floor(activation) ? 1 : kRowsInCache;
  }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::MapShape map = operands_.plan.dst();
    const kernels::StemArgs args{operands_.image(buffers, range.image),
                                 map_of(buffers, operands_.dst, map, range.image),
                                 operands_.packed(), range.scratch};
    if (is_floor(operands_.activation)) {
      table().run_stem(operands_.plan, args, range.begin, range.end);
      return;
    }
    for (int unit = range.begin; unit < range.end; ++unit) {
      const int begin = unit * kRowsInCache;
      const int end = std::min(begin + kRowsInCache, map.height);
      table().run_stem(operands_.plan, args, begin, end);
      for (int block = 0; block < kernels::blocks(map.channels); ++block) {
        for (int y = begin; y < end; ++y) {
          table().finish(operands_.activation, nullptr, args.dst + map.offset(block, y, 0),
                         std::ptrdiff_t{map.width} * kernels::kBlock);
        }
      }
    }
  }

 private:
  StemOperands operands_;
};

class StemPairStep : public TiledStep {
 public:
  StemPairStep(StepInfo info, const Work& work, StemOperands operands, PackedPair pair)
      : TiledStep(std::move(info), work),
        operands_(std::move(operands)),
        pair_(std::move(pair)),
        plan_(kernels::plan_stem_block(operands_.plan, pair_.plan)) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::StemBlockArgs args{
        operands_.image(buffers, range.image),
        map_of(buffers, operands_.dst, pair_.plan.shape.dst(), range.image), operands_.packed(),
        pair_.data(), range.scratch};
    table().run_stem_block(plan_, args, range.begin, range.end);
  }

 private:
  StemOperands operands_;
  PackedPair pair_;
  kernels::StemBlockPlan plan_;
};

// Everything but where the result goes.
StemOperands pack_stem(const StemMatch& match, PlanBuilder& builder) {
  const Node& node = builder.node(match.conv);
  const kernels::MapShape in = map_shape(builder.shape(node.inputs[0]));
  StemOperands operands;
  operands.activation = match.activation;
  operands.plan = kernels::plan_stem(table().panel_blocks, in.height, in.width,
                                     static_cast<int>(std::get<Conv2d>(node.op).out_channels),
                                     match.activation == kernels::Activation::kRelu);
  operands.weights =
      builder.packed(node.name + " fused", operands.plan.packed_bytes(), [&](void* out) {
        const NodeWeights weights(match.conv, builder);
        kernels::pack_stem(operands.plan, weights.weight(), weights.bias(),
                           static_cast<float*>(out));
      });
  operands.src = builder.value_of(node.inputs[0]);
  return operands;
}

}  // namespace

void emit_stem(const StemMatch& match, PlanBuilder& builder) {
  StemOperands operands = pack_stem(match, builder);
  const ValueId src = operands.src;
  TiledStep::Work work;
  work.map = operands.dst = builder.new_result(match.result(), map_layout());
  work.map_shape = operands.plan.dst();
  work.images = builder.shape(match.result())[0];
  work.units = kernels::ceil_div(work.map_shape.height, StemStep::rows_per_unit(match.activation));
  work.threads = builder.options().threads;
  work.thread_bytes = operands.plan.scratch_bytes();
  StepInfo info = describe(match.ops, builder, implementation());
  builder.add_step(std::make_unique<StemStep>(std::move(info), work, std::move(operands)), {src},
                   {work.map});
}

void emit_stem_pair(const StemPairMatch& match, PlanBuilder& builder) {
  StemOperands operands = pack_stem(match.stem, builder);
  const ValueId src = operands.src;
  PackedPair pair = pack_pair(match.pair, true, builder);
  TiledStep::Work work;
  work.map = operands.dst = builder.new_result(match.result(), map_layout());
  work.map_shape = pair.plan.shape.dst();
  work.images = builder.shape(match.result())[0];
  work.units = pair.plan.tiles();
  work.threads = builder.options().threads;
  work.thread_bytes = kernels::plan_stem_block(operands.plan, pair.plan).scratch_bytes();
  StepInfo info = describe(match.ops, builder, implementation(pair.details()));
  builder.add_step(
      std::make_unique<StemPairStep>(std::move(info), work, std::move(operands), std::move(pair)),
      {src}, {work.map});
}

}  // namespace mobileone::fused
