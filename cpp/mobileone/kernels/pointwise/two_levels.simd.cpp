// Two levels of Strassen's algorithm: the outer one's seven products, one level each.
#include <algorithm>
#include <limits>

#include "mobileone/kernels/pointwise/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// A row of vectors of T at one quarter of the outer level.
struct Operand {
  const float *a11, *a12, *a21, *a22;

  /// That of product `index` in the order of use: A11, A12, S2, S3, A22, S1, S4.
  template <int kIndex>
  __attribute__((always_inline)) Vec at(std::ptrdiff_t i) const {
    if constexpr (kIndex == 0) return load(a11 + i);
    if constexpr (kIndex == 1) return load(a12 + i);
    if constexpr (kIndex == 2) return sub(at<5>(i), load(a11 + i));
    if constexpr (kIndex == 3) return sub(load(a11 + i), load(a21 + i));
    if constexpr (kIndex == 4) return load(a22 + i);
    if constexpr (kIndex == 5) return add(load(a21 + i), load(a22 + i));
    return sub(load(a12 + i), at<2>(i));
  }
};

/// What two levels keep in scratch after T and its offsets.
struct OuterScratch {
  PointwisePlan product;
  float* tile;    // the products' scratch
  float *u, *v;   // partial results
  float* delta;   // c2 - c1
  float* zeros;   // in place of a bias, and of partial results
  float* nobody;  // what a group, or a row of the map, writes that is not wanted

  OuterScratch(const PointwisePlan& plan, const PointwiseTile& t) : product(plan.product()) {
    const int half_n = product.n_blocks * kBlock, spare = plan.spare_floats();
    tile = t.scratch + plan.tile_floats() + padded(plan.tile_pixels);
    u = tile + product.scratch_floats();
    v = u + plan.partial_floats();
    delta = v + plan.partial_floats();
    zeros = delta + half_n;
    nobody = zeros + spare;
    for (int i = 0; i < half_n; i += kLanes) {
      store(delta + i, sub(load(t.bias + half_n + i), load(t.bias + i)));
    }
    for (int i = 0; i < spare; i += kLanes) store(zeros + i, zero());
  }
};

/// The last pixel in place of those that are missing to a whole pair of pairs.
void fill_last_quad(const PointwisePlan& plan, const PointwiseTile& t) {
  for (int block = 0; t.pixels % 4 != 0 && block < plan.k_blocks; ++block) {
    float* const row = t.scratch + (std::ptrdiff_t{block} * plan.pitch() + t.pixel_begin) * kBlock;
    for (int pixel = t.pixels; pixel % 4 != 0; ++pixel) {
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        store(row + pixel * kBlock + lane, load(row + (t.pixels - 1) * kBlock + lane));
      }
    }
  }
}

/// The product's T, with its own level's sums, of the quarters of this one.
template <int kIndex>
void fill_operand(const PointwisePlan& plan, const PointwiseTile& t, const PointwisePlan& product,
                  const PointwiseTile& inner) {
  const std::ptrdiff_t t_block = std::ptrdiff_t{plan.pitch()} * kBlock;
  const auto fill = [&](int block) {
    Operand operand;
    operand.a11 = t.scratch + block * t_block + std::ptrdiff_t{t.pixel_begin} * kBlock;
    operand.a12 = operand.a11 + product.k_blocks * t_block;
    operand.a21 = operand.a11 + 2 * kBlock;
    operand.a22 = operand.a12 + 2 * kBlock;
    float* out = inner.scratch + std::ptrdiff_t{block} * product.pitch() * kBlock;
    for (int pair = 0; pair < inner.pixels / 2; ++pair, out += 2 * kBlock) {
#pragma GCC unroll 4
      for (int lane = 0; lane < 2 * kBlock; lane += kLanes) {
        store(out + lane, operand.at<kIndex>(std::ptrdiff_t{4} * pair * kBlock + lane));
      }
    }
  };
  const int half = product.k_blocks / 2;
  for (int block = 0; block < half; ++block) {
    fill(block);
    fill(block + half);
    sum_quarters(product, inner, block);
  }
}

using FillOperand = void (*)(const PointwisePlan&, const PointwiseTile&, const PointwisePlan&,
                             const PointwiseTile&);
constexpr FillOperand kFillOperand[] = {fill_operand<0>, fill_operand<1>, fill_operand<2>,
                                        fill_operand<3>, fill_operand<4>, fill_operand<5>,
                                        fill_operand<6>};

/// Offsets of a product's pixels in the map, from those of the tile.
void halve_offsets(const PointwiseTile& t, const std::int32_t* offsets, bool lower, int pixels,
                   std::int32_t* halved) {
  for (int i = 0; i < pixels; ++i) {
    const int pixel = 4 * (i / 2) + i % 2 + (lower ? 2 : 0);
    halved[i] = offsets[pixel < t.pixels ? pixel : t.pixels - 1];
  }
}

/// Sums over the pixels of what lies in the map without a floor, then the floor.
void add_sums(const PointwiseTile& t, const std::int32_t* offsets, int first, int blocks) {
  const Vec floor = broadcast(t.floor);
  for (int block = first; block < first + blocks; ++block) {
    const Output output = t.output(block, offsets);
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vec sum = load(output.sums + lane);
      for (int p = 0; p < t.pixels; ++p) {
        float* const at = output.dst + offsets[p] + lane;
        sum = add(sum, load(at));
        store(at, max(floor, load(at)));
      }
      store(output.sums + lane, sum);
    }
  }
}

}  // namespace

// The sums of products as of one level (pointwise_strassen), in two partial results U and V:
//   U = c1 + A11 B11                                       C11 = U + A12 B21
//   U = U + S2 T2              V = U + S3 T3               C21 = V - A22 T4
//   P = c2 - c1 + S1 T1        C22 = V + P, U = U + P      C12 = U + S4 B22
void pointwise_two_levels(const PointwisePlan& plan, const PointwiseTile& t) {
  const OuterScratch scratch(plan, t);
  const PointwisePlan& product = scratch.product;
  float *const u = scratch.u, *const v = scratch.v;
  const OuterStep steps[] = {{.partial = u},
                             {.to_map = u},
                             {.addend = u, .partial = u},
                             {.addend = u, .partial = v},
                             {.to_map = v},
                             {.to_map = v, .addend = u, .partial = u},
                             {.to_map = u}};
  fill_last_quad(plan, t);
  const std::int32_t* const offsets = offset_table(plan, t.scratch) + t.pixel_begin;
  std::int32_t* const halved = offset_table(product, scratch.tile);

  PointwiseTile inner = t;
  inner.scratch = scratch.tile;
  inner.pixel_begin = 0;
  inner.pixels = 2 * ceil_div(t.pixels, 4);
  inner.sums = nullptr;
  if (t.sums != nullptr) inner.floor = -std::numeric_limits<float>::infinity();
  const int first = product.panel(t.panel_begin).first_block;
  for (int index = 0; index < 7; ++index) {
    kFillOperand[index](plan, t, product, inner);
    OuterStep step = steps[index];
    step.zeros = scratch.zeros;
    step.spare = scratch.nobody;
    inner.packed = t.packed + index * product.packed_floats();
    if (index < 6) {
      step.next = inner.packed + product.packed_floats() + product.panel_offset(first);
    }
    inner.bias = index == 0 ? t.bias : index == 5 ? scratch.delta : scratch.zeros;
    inner.late = index == 6 ? t.late : nullptr;
    if (step.to_map != nullptr) {
      inner.dst = t.dst + (index >= 5 ? product.n_blocks * t.dst_block : 0);
      inner.dst_block = t.dst_block;
      halve_offsets(t, offsets, index == 4 || index == 5, inner.pixels, halved);
    } else {
      inner.dst = scratch.nobody;
      inner.dst_block = kBlock;
      std::fill_n(halved, inner.pixels, 0);
    }
    pointwise_strassen(product, inner, &step);
  }
  if (t.sums == nullptr) return;
  const Panel last = plan.panel(t.panel_end - 1);
  for (int part = 0; part < plan.parts(); ++part) {
    add_sums(t, offsets, part * plan.panelled_blocks() + first,
             last.first_block + last.num_blocks - first);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
