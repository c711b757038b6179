#include "mobileone/kernels/stem/stem_strips.hpp"

#include <algorithm>

#include "mobileone/kernels/pointwise/microkernel.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"
#include "mobileone/kernels/simd/instances.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Where registers hold the sums of two output rows, the odd row is read once for both.
constexpr bool kTogether = kTraits.registers == 32;
constexpr int kMostOutputs = kTogether ? 12 : 8;

/// Neighbouring outputs of one row, of all channel blocks; distances in floats.
struct OutputGroup {
  const float* even;              // the stem's row, at the column before the first output's
  std::ptrdiff_t odd, row_block;  // from there to the odd row, and to the next block
  const float* taps;
  float* sums;
  std::ptrdiff_t sums_block;
  float* dst;
  std::ptrdiff_t dst_block;
  int blocks;
  float floor;
};

struct Taps {
  Vec w0, w1, w2;
  __attribute__((always_inline)) Taps(const float* taps, int row) {
    taps = opaque(taps + 3 * row * kBlock);
    w0 = load(taps);
    w1 = load(taps + kBlock);
    w2 = load(taps + 2 * kBlock);
  }
};

/// The products of one row of the stem with as many rows of taps as there are sets of sums.
template <int kOutputs, int kSets>
__attribute__((always_inline)) inline void multiply_row(Vec (&acc)[kSets][kOutputs],
                                                        const float* row,
                                                        const Taps (&taps)[kSets]) {
  row = opaque(row);
#pragma GCC unroll 16
  for (int i = 0; i <= kOutputs; ++i) {
    const Vec x = in_register(load(row + 2 * i * kBlock));
#pragma GCC unroll 2
    for (int set = 0; set < kSets; ++set) {
      if (i > 0) accumulate(acc[set][i > 0 ? i - 1 : 0], x, taps[set].w2);
      if (i < kOutputs) accumulate(acc[set][i < kOutputs ? i : 0], x, taps[set].w0);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kOutputs; ++i) {
    const Vec x = in_register(load(row + (2 * i + 1) * kBlock));
#pragma GCC unroll 2
    for (int set = 0; set < kSets; ++set) accumulate(acc[set][i], x, taps[set].w1);
  }
}

/// Sums with the bias and the products of the odd row with the upper taps.
template <int kOutputs>
__attribute__((noinline)) void start_sums(const OutputGroup& g) {
  const float *row = g.even + g.odd, *taps = g.taps;
  float* sums = g.sums;
  const std::ptrdiff_t row_block = g.row_block, sums_block = g.sums_block;
  for (int block = g.blocks; block > 0; --block) {
    Vec acc[1][kOutputs];
    const Vec bias = load(taps + 9 * kBlock);
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) acc[0][i] = bias;
    multiply_row<kOutputs, 1>(acc, row, {{taps, 0}});
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) store(sums + i * kBlock, acc[0][i]);
    row += row_block;
    taps += depthwise_floats(3);
    sums += sums_block;
  }
}

/// Outputs from the sums and the products of both rows; kTogether, the next row's sums as well.
template <int kOutputs>
__attribute__((noinline)) void strip_outputs(const OutputGroup& g) {
  constexpr int kSets = kTogether ? 2 : 1;
  const float *row = g.even, *taps = g.taps;
  float *sums = g.sums, *dst = g.dst;
  const std::ptrdiff_t odd = g.odd, row_block = g.row_block;
  const std::ptrdiff_t sums_block = g.sums_block, dst_block = g.dst_block;
  const Vec floor = broadcast(g.floor);
  for (int block = g.blocks; block > 0; --block) {
    Vec acc[1][kOutputs];
#pragma GCC unroll 16
    for (int i = 0; i < kOutputs; ++i) acc[0][i] = load(sums + i * kBlock);
    multiply_row<kOutputs, 1>(acc, row, {{taps, 1}});
    if constexpr (kTogether) {
      Vec both[kSets][kOutputs];
      const Vec bias = load(taps + 9 * kBlock);
#pragma GCC unroll 16
      for (int i = 0; i < kOutputs; ++i) {
        both[0][i] = acc[0][i];
        both[kSets - 1][i] = bias;
      }
      multiply_row<kOutputs, kSets>(both, row + odd, {{taps, 2}, {taps, 0}});
#pragma GCC unroll 16
      for (int i = 0; i < kOutputs; ++i) {
        store(dst + i * kBlock, max(floor, both[0][i]));
        store(sums + i * kBlock, both[kSets - 1][i]);
      }
    } else {
      multiply_row<kOutputs, 1>(acc, row + odd, {{taps, 2}});
#pragma GCC unroll 16
      for (int i = 0; i < kOutputs; ++i) store(dst + i * kBlock, max(floor, acc[0][i]));
    }
    row += row_block;
    taps += depthwise_floats(3);
    sums += sums_block;
    dst += dst_block;
  }
}

using GroupKernel = void (*)(const OutputGroup&);
constexpr auto kStarts = make_instances<GroupKernel>(
    []<int kOutputs>() -> GroupKernel { return start_sums<std::min(kOutputs, kMostOutputs)>; });
constexpr auto kOutputs = make_instances<GroupKernel>(
    []<int kNumber>() -> GroupKernel { return strip_outputs<std::min(kNumber, kMostOutputs)>; });

}  // namespace

StemStrips::StemStrips(const StemBlockPlan& plan, const StemBlockArgs& args,
                       const WindowedStem& stem, int first_row)
    : plan_(plan),
      stem_(stem),
      taps_(args.block_packed + plan.block.taps_offset()),
      t_(static_cast<float*>(args.scratch)),
      rows_(t_ + plan.rows_offset()),
      sums_(rows_ + 2 * num_blocks() * StemBlockPlan::strip_row_floats()) {
  if (first_row > 0) {
    for_strips(first_row - 1, 1,
               [&](int first, int count) { run_groups(first, count, t_, false); });
    return;
  }
  for (int block = 0; block < num_blocks(); ++block) {
    const float* const bias = taps_ + block * depthwise_floats(3) + 9 * kBlock;
    float* const sums = sums_ + block * plan.sums_floats();
    for (std::ptrdiff_t i = 0; i < plan.sums_floats(); i += kLanes) {
      store(sums + i, load(bias + i % kBlock));
    }
  }
}

void StemStrips::make(int y, int row) const {
  const BlockShape& shape = plan_.block.shape;
  const std::ptrdiff_t floats = std::ptrdiff_t{shape.out_width()} * kBlock;
  float* const t = t_ + row * floats;
  for_strips(y, 0, [&](int first, int count) { run_groups(first, count, t, true); });
  for (int block = 0; block < num_blocks(); ++block) {
    const std::ptrdiff_t at = std::ptrdiff_t{block} * plan_.block.project.pitch() * kBlock;
    activate_in_place(shape.depthwise_activation, t + at, floats);
  }
}

template <typename Use>
void StemStrips::for_strips(int pair, int row_begin, const Use& use) const {
  const BlockShape& shape = plan_.block.shape;
  const int row_end = 2 * pair + 1 < shape.height ? 2 : 1;
  const int windows = shape.out_width(), most = plan_.stem.strip_windows();
  stem_.make_forms(2 * pair);
  clear(0, 0);
  clear(1, 0);
  for (int first = 0; first < windows; first += most) {
    const int count = std::min(most, windows - first);
    stem_.make_strip({2 * pair,
                      row_begin,
                      row_end,
                      first,
                      count,
                      {row(0, 0) + kBlock, row(0, 1) + kBlock},
                      2 * StemBlockPlan::strip_row_floats()});
    for (int i = 0; row_end == 1 && i < 2 * count; ++i) clear(1, 1 + i);
    if (2 * (first + count) > shape.width) {
      clear(0, 2 * count);
      clear(1, 2 * count);
    }
    use(first, count);
    for (int block = 0; block < num_blocks(); ++block) {
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        for (int i = 0; i < 2; ++i) {
          store(row(block, i) + lane, load(row(block, i) + 2 * count * kBlock + lane));
        }
      }
    }
  }
}

void StemStrips::run_groups(int first, int count, float* t, bool outputs) const {
  OutputGroup group;
  group.odd = StemBlockPlan::strip_row_floats();
  group.row_block = 2 * group.odd;
  group.sums_block = plan_.sums_floats();
  group.dst_block = std::ptrdiff_t{plan_.block.project.pitch()} * kBlock;
  group.blocks = num_blocks();
  group.floor = activation_floor(plan_.block.shape.depthwise_activation);
  const PixelGroups groups(count, kMostOutputs);
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    group.even = rows_ + lane;
    group.taps = taps_ + lane;
    group.sums = sums_ + first * kBlock + lane;
    group.dst = t + first * kBlock + lane;
    for (int i = 0; i < groups.count; ++i) {
      const int size = groups.size(i);
      if (outputs) kOutputs[size](group);
      if (!outputs || !kTogether) kStarts[size](group);
      group.even += 2 * size * kBlock;
      group.sums += size * kBlock;
      group.dst += size * kBlock;
    }
  }
}

void StemStrips::clear(int index, int pixel) const {
  for (int block = 0; block < num_blocks(); ++block) {
    float* const at = row(block, index) + pixel * kBlock;
    for (int lane = 0; lane < kBlock; lane += kLanes) store(at + lane, zero());
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
