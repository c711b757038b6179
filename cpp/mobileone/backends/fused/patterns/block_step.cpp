#include "mobileone/backends/fused/patterns/block_step.hpp"

#include <algorithm>

#include "mobileone/backends/fused/packed_squeeze.hpp"
#include "mobileone/backends/fused/strassen_guard.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/backends/fused/tiling.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

using kernels::BlockPlan;
using kernels::BlockShape;

struct BlockOperands {
  const kernels::KernelTable* kernels = nullptr;
  PackedBlock block;
  PackedSqueeze excite, factor;  // as in BlockMatch
  ValueId src = -1, dst = -1;
  ValueId src_factor = -1;  // [N, padded channels] or none
  ValueId dst_factor = -1;  // written when there is an SE after the projection
  std::ptrdiff_t fetched_floats = 0;

  // Shared scratch: that SE's hidden layer, then the sums over pixels of every unit's output.
  std::ptrdiff_t hidden_floats() const {
    return factor ? kernels::padded(factor.shape.reduced) : 0;
  }
  std::ptrdiff_t unit_sums() const { return kernels::padded(block.plan.shape.channels_out); }
  std::ptrdiff_t sums_floats() const { return factor ? block.plan.units() * unit_sums() : 0; }
};

class BlockStep : public TiledStep {
 public:
  BlockStep(StepInfo info, const Work& work, BlockOperands operands)
      : TiledStep(std::move(info), work), operands_(std::move(operands)) {}
  Prefetching prefetching() const override { return Prefetching::brings; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    if (!operands_.factor) return run(buffers, range, nullptr);
    // Every unit sums on its own, and the sums are added in order: the same bits on any thread.
    UnitRange unit = range;
    for (int i = range.begin; i < range.end; ++i) {
      unit.begin = i;
      unit.end = i + 1;
      run(buffers, unit, sums(buffers) + i * operands_.unit_sums());
    }
  }
  void begin_image(const Buffers& buffers, std::int64_t) const override {
    std::fill_n(sums(buffers), operands_.sums_floats(), 0.f);
  }
  void finish_image(const Buffers& buffers, std::int64_t image) const override {
    const BlockShape& shape = operands_.block.plan.shape;
    float* const total = sums(buffers);
    const std::ptrdiff_t channels = operands_.unit_sums();
    for (std::ptrdiff_t at = channels; at < operands_.sums_floats(); at += channels) {
      std::transform(total, total + channels, total + at, total, std::plus<>());
    }
    operands_.kernels->squeeze_excite(
        operands_.factor.shape, total, shape.out_height() * shape.out_width(), hidden(buffers),
        factor(buffers, operands_.dst_factor, image, shape.channels_out));
  }

 private:
  static float* hidden(const Buffers& buffers) {
    return reinterpret_cast<float*>(buffers.scratch());
  }
  float* sums(const Buffers& buffers) const { return hidden(buffers) + operands_.hidden_floats(); }
  static float* factor(const Buffers& buffers, ValueId id, std::int64_t image, int channels) {
    return id < 0 ? nullptr : floats(buffers, id) + image * kernels::padded(channels);
  }

  void run(const Buffers& buffers, const UnitRange& range, float* unit_sums) const {
    const BlockShape& shape = operands_.block.plan.shape;
    kernels::BlockArgs args;
    args.src = map_of(buffers, operands_.src, shape.src(), range.image);
    args.dst = map_of(buffers, operands_.dst, shape.dst(), range.image);
    args.packed = operands_.block.data();
    args.src_scale = factor(buffers, operands_.src_factor, range.image, shape.channels_in);
    if (operands_.excite) args.excite = &operands_.excite.shape;
    args.dst_sums = unit_sums;
    args.scratch = range.scratch;
    // An expansion has time for what is wanted late, too.
    if (next().late && !shape.expands()) {
      args.next_panel = next().data;
      args.next_panel_floats = next().floats;
    } else {
      args.next_data = next().data;
      args.next_floats = next().floats;
    }
    args.fetched_floats = operands_.fetched_floats;
    operands_.kernels->run_block(operands_.block.plan, args, range.begin, range.end);
  }

  BlockOperands operands_;
};

// Of the kernel that the block runs: a dilated one is a wider one with zeros between its weights.
int depthwise_kernel(const Conv2d& conv) {
  return static_cast<int>((conv.kernel[0] - 1) * conv.dilation[0] + 1);
}

// [channels][kernel][kernel] with zeros between the weights of a dilated kernel.
std::vector<float> spread(const Conv2d& conv, const float* weight) {
  const int kernel = static_cast<int>(conv.kernel[0]), wide = depthwise_kernel(conv);
  const int step = static_cast<int>(conv.dilation[0]);
  std::vector<float> result(static_cast<std::size_t>(conv.out_channels) * wide * wide);
  for (std::int64_t c = 0; c < conv.out_channels; ++c) {
    float* to = result.data() + c * wide * wide;
    for (int y = 0; y < kernel; ++y) {
      for (int x = 0; x < kernel; ++x) to[y * step * wide + x * step] = *weight++;
    }
  }
  return result;
}

// The block's weights as the network holds them; `wide` keeps those that are spread.
kernels::BlockWeights weights_of(const BlockMatch& match, const PlanBuilder& builder,
                                 std::vector<float>& wide) {
  kernels::BlockWeights weights;
  if (match.expand) {
    const NodeWeights expand(match.expand->node, builder);
    weights.expand = expand.weight();
    weights.expand_bias = expand.bias();
  }
  if (const Conv2d* const conv = match.find_depthwise(builder)) {
    const NodeWeights depthwise(match.depthwise.node, builder);
    weights.depthwise = depthwise.weight();
    if (conv->dilation[0] > 1) {
      wide = spread(*conv, weights.depthwise);
      weights.depthwise = wide.data();
    }
    weights.depthwise_bias = depthwise.bias();
  }
  const NodeWeights project(match.project.node, builder);
  weights.project = project.weight();
  weights.project_bias = project.bias();
  return weights;
}

// Whether `automatic` may use Strassen's algorithm; reads all of the weights.
bool well_scaled(const BlockShape& shape, const kernels::BlockWeights& weights) {
  const bool even = shape.hidden() % 2 == 0 && shape.channels_out % 2 == 0;
  return even && strassen_growth(shape.hidden(), shape.channels_out, shape.kernel * shape.kernel,
                                 weights.depthwise, weights.depthwise_bias,
                                 weights.project) <= kMaxStrassenGrowth;
}

kernels::Tiling tiling_of(const BlockShape& shape, const BlockMatch& match, bool one_part,
                          PlanBuilder& builder) {
  const auto fastest = by_cost_model(shape, table(builder));
  const auto suits_strassen = [&] {
    std::vector<float> wide;
    return well_scaled(shape, weights_of(match, builder, wide));
  };
  const auto choose = [&](kernels::TilingRequest request) {
    kernels::Tiling tiling = fastest(request);
    const bool unsafe = request.choice == kernels::AlgorithmChoice::kAuto &&
                        tiling.algorithm == kernels::Algorithm::kStrassen && !suits_strassen();
    request.choice = kernels::AlgorithmChoice::kDirect;
    if (unsafe) tiling = fastest(request);
    return tiling;
  };
  const std::string& name = builder.node(match.project.node).name;
  const auto tuned =
      tuned_tiling(name, builder, [&] { return shape.is_pair() && suits_strassen(); });
  const std::int64_t images = builder.shape(match.source)[0];
  kernels::Tiling tiling =
      tiling_for(name, images, match.factor.has_value(), tuned, builder, choose);
  if (one_part) tiling.column_parts = 1;
  return tiling;
}

BlockShape shape_of(const BlockMatch& match, const PlanBuilder& builder) {
  const kernels::MapShape in = map_shape(builder.shape(match.source));
  BlockShape shape;
  shape.channels_in = in.channels;
  if (match.expand) {
    const auto& expand = std::get<Conv2d>(builder.node(match.expand->node).op);
    shape.expanded = static_cast<int>(expand.out_channels);
    shape.expand_activation = match.expand->activation;
  }
  shape.channels_out = map_shape(builder.shape(match.result())).channels;
  shape.height = in.height;
  shape.width = in.width;
  const Conv2d* const depthwise = match.find_depthwise(builder);
  shape.kernel = depthwise ? depthwise_kernel(*depthwise) : 0;
  shape.stride = depthwise ? static_cast<int>(depthwise->stride[0]) : 1;
  shape.depthwise_activation = match.depthwise.activation;
  shape.excite = match.place;
  shape.project = {match.project.activation, match.residual};
  return shape;
}

const char* algorithm_name(const BlockPlan& plan) {
  return plan.project.strassen() ? "strassen" : "direct";
}

// Rows of an expanding block's parts of the work: each part computes the expanded rows at its upper
// edge once more.
constexpr int kRowsPerPart = 16;

TiledStep::Work work_of(const BlockPlan& plan, std::int64_t images, int threads) {
  TiledStep::Work work;
  work.map_shape = plan.shape.dst();
  work.images = images;
  work.units = plan.units();
  work.threads = threads;
  work.thread_bytes = plan.scratch_bytes();
  if (plan.shape.expands()) {
    const std::int64_t rows = images * plan.shape.out_height();
    work.parts_per_thread =
        static_cast<int>(std::clamp<std::int64_t>(rows / kRowsPerPart / threads, 1, 4));
  }
  return work;
}

// Asks the step before for what this one reads first; returns how much of it the kernel need not
// fetch itself.
std::ptrdiff_t announce_block(const PackedBlock& block, const PlanBuilder& builder) {
  if (!block.plan.shape.expands()) {
    return announce_late(block.data(), block.plan.first_floats(), builder);
  }
  announce(block.data(), block.plan.packed_bytes(), builder);
  return 0;
}

}  // namespace

std::string PackedBlock::details() const {
  return concat(algorithm_name(plan), " rows=", plan.tile_rows, tuned ? " tuned" : "");
}

PackedBlock pack_block(const BlockMatch& match, bool one_part, PlanBuilder& builder) {
  const BlockShape shape = shape_of(match, builder);
  const kernels::Tiling tiling = tiling_of(shape, match, one_part, builder);
  const kernels::KernelTable& kernels = table(builder);
  PackedBlock packed{kernels::plan_block(kernels.traits, shape, tiling), nullptr,
                     is_tuned(builder.node(match.project.node).name, builder)};
  const bool float32 = kernels.precision == kernels::Precision::kFloat32;
  const std::string kind = concat(match.expand ? " fused block " : " fused ",
                                  float32 ? "" : implementation("", kernels) + " ");
  if (!float32) builder.bfloat16_nodes.push_back(match.project.node);
  packed.weights = builder.packed(
      concat(builder.node(match.project.node).name, kind, algorithm_name(packed.plan)),
      packed.plan.packed_bytes(), [&](void* out) {
        std::vector<float> wide;
        kernels::pack_block(packed.plan, weights_of(match, builder, wide),
                            static_cast<float*>(out));
      });
  return packed;
}

void emit_block(const BlockMatch& match, PlanBuilder& builder) {
  BlockOperands operands;
  operands.kernels = &table(builder);
  operands.block = pack_block(match, false, builder);
  if (match.excite) operands.excite = pack_squeeze(*match.excite, builder);
  if (match.factor) operands.factor = pack_squeeze(*match.factor, builder);
  operands.fetched_floats = announce_block(operands.block, builder);
  operands.src = builder.in_layout(match.source, map_layout());
  operands.src_factor = builder.factor_of(match.source);
  operands.dst = builder.new_result(match.result(), map_layout());
  TiledStep::Work work =
      work_of(operands.block.plan, builder.shape(match.result())[0], builder.options().threads);
  work.map = operands.dst;
  std::vector<ValueId> reads{operands.src}, writes{operands.dst};
  if (operands.src_factor >= 0) reads.push_back(operands.src_factor);
  if (operands.factor) {
    operands.dst_factor = builder.new_temporary({work.images, operands.unit_sums()});
    builder.set_factor(match.result(), operands.dst_factor);
    writes.push_back(operands.dst_factor);
    work.in_turn = true;  // an image's factor is made of its sums before the next one's begin
    work.shared_bytes =
        sizeof(float) * std::size_t(operands.hidden_floats() + operands.sums_floats());
  }
  StepInfo info =
      describe(match.ops, builder, implementation(operands.block.details(), table(builder)));
  builder.add_step(std::make_unique<BlockStep>(std::move(info), work, std::move(operands)), reads,
                   writes);
}

}  // namespace mobileone::fused
