#include "mobileone/backends/fused/patterns/block_step.hpp"

#include <algorithm>
#include <array>

#include "mobileone/backends/fused/packed_squeeze.hpp"
#include "mobileone/backends/fused/patterns/joined_step.hpp"
#include "mobileone/backends/fused/patterns/packed_block.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

using kernels::BlockPlan;
using kernels::BlockShape;

struct BlockOperands {
  const kernels::KernelTable* kernels = nullptr;
  PackedBlock block;
  PackedSqueeze excite, factor;  // as in BlockMatch
  ValueId src = -1, dst = -1;
  std::vector<ValueId> parts;  // in place of `src`
  std::vector<int> part_channels;
  ValueId bias = -1;        // of the expansion, [N, padded channels], or none
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

// What a projection of bfloat16 has time to fetch beside its own weights: its microkernel fetches
// two lines of 16 floats per four k.
std::ptrdiff_t spare_floats(const BlockPlan& plan, int pixels) {
  const kernels::PointwisePlan& project = plan.project;
  if (plan.shape.expands() || project.per_lane == 1) return 0;
  const std::ptrdiff_t chain = std::ptrdiff_t{project.k_blocks} * kernels::kBlock * 8 / 2;
  const std::ptrdiff_t groups = kernels::ceil_div(project.max_pixels, pixels);
  const std::ptrdiff_t own = project.packed_floats() / project.num_panels();
  const std::ptrdiff_t panel = groups * chain - (plan.weights_stay ? 0 : own);
  return std::max<std::ptrdiff_t>(0, plan.tiles() * project.num_panels() * panel);
}

class BlockStep : public TiledStep {
 public:
  BlockStep(StepInfo info, const Work& work, BlockOperands operands)
      : TiledStep(std::move(info), work), operands_(std::move(operands)) {}
  Prefetching prefetching() const override { return Prefetching::brings; }
  std::ptrdiff_t bring(const float* data, std::ptrdiff_t count) override {
    if (next().data != nullptr && !next().late) return 0;
    // Without time to spare, because sums and gates are made; what steps before brought would be
    // gone again after it.
    if (operands_.excite || operands_.factor) return count;
    const std::ptrdiff_t spare =
        spare_floats(operands_.block.plan, operands_.kernels->traits.pixels);
    brought_ = {data, std::min(count, spare), false};
    return brought_.floats;
  }

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
    std::array<kernels::BlockPart, kernels::kMaxBlockParts> parts;
    for (std::size_t i = 0; i < operands_.parts.size(); ++i) {
      const int channels = operands_.part_channels[i];
      const kernels::MapShape map{channels, shape.height, shape.width};
      parts[i] = {map_of(buffers, operands_.parts[i], map, range.image), channels};
    }
    args.parts = parts.data();
    args.num_parts = static_cast<int>(operands_.parts.size());
    if (args.num_parts == 0) args.src = map_of(buffers, operands_.src, shape.src(), range.image);
    args.expand_bias = factor(buffers, operands_.bias, range.image, shape.expanded);
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
      args.next_data = brought_.data;
      args.next_floats = brought_.floats;
    } else {
      args.next_data = next().data;
      args.next_floats = next().floats;
    }
    args.fetched_floats = operands_.fetched_floats;
    operands_.kernels->run_block(operands_.block.plan, args, range.begin, range.end);
  }

  BlockOperands operands_;
  NextRead brought_;
};

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

void read_parts(const BlockMatch& match, BlockOperands& operands, PlanBuilder& builder) {
  for (NodeId map : match.joined->maps) {
    operands.parts.push_back(builder.in_layout(map, map_layout()));
    operands.part_channels.push_back(static_cast<int>(builder.shape(map)[1]));
  }
  if (match.joined->pixel >= 0)
    operands.bias = add_pixel_bias(*match.joined, match.expand->node, builder);
}

}  // namespace

void emit_block(const BlockMatch& match, PlanBuilder& builder) {
  BlockOperands operands;
  operands.kernels = &table(builder);
  operands.block = pack_block(match, false, builder);
  if (match.excite) operands.excite = pack_squeeze(*match.excite, builder);
  if (match.factor) operands.factor = pack_squeeze(*match.factor, builder);
  operands.fetched_floats = announce_block(operands.block, builder);
  std::vector<ValueId> reads;
  if (match.joined) {
    read_parts(match, operands, builder);
    reads = operands.parts;
    if (operands.bias >= 0) reads.push_back(operands.bias);
  } else {
    operands.src = builder.in_layout(match.source, map_layout());
    operands.src_factor = builder.factor_of(match.source);
    reads = {operands.src};
  }
  operands.dst = builder.new_result(match.result(), map_layout());
  TiledStep::Work work =
      work_of(operands.block.plan, builder.shape(match.result())[0], builder.options().threads);
  work.map = operands.dst;
  std::vector<ValueId> writes{operands.dst};
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
