#include "mobileone/kernels/arch/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2, each [k_blocks/2][half_pitch][16].
void sum_quarters(const float* a11, std::ptrdiff_t a_block, std::ptrdiff_t to_a12,
                  std::ptrdiff_t to_a21, int k_blocks, int pixels, float* s1,
                  std::ptrdiff_t s_block, std::ptrdiff_t s_size) {
  for (int block = 0; block < k_blocks; ++block, a11 += a_block, s1 += s_block) {
    for (int i = 0; i < pixels * kBlock; i += kLanes) {
      const Vec v11 = load(a11 + i);
      const Vec v12 = load(a11 + to_a12 + i);
      const Vec v21 = load(a11 + to_a21 + i);
      const Vec v22 = load(a11 + to_a12 + to_a21 + i);
      const Vec sum1 = add(v21, v22);
      const Vec sum2 = sub(sum1, v11);
      store(s1 + i, sum1);
      store(s1 + s_size + i, sum2);
      store(s1 + 2 * s_size + i, sub(v11, v21));
      store(s1 + 3 * s_size + i, sub(v12, sum2));
    }
  }
}

/// One operand of A: its quarter (or sum) at the current pixel group.
struct Operand {
  const float* data;
  std::ptrdiff_t block;
};

/// Everything that stays the same for the seven products of one pixel group and panel.
struct Cell {
  Microkernel kernel;
  Product product;     // k_blocks, floor, dst_block, offsets are set
  const float* panel;  // the seven packed operands
  std::ptrdiff_t operand_size;
  std::ptrdiff_t next_panel;  // prefetch distance, or 0
  float* u0;
  float* u1;

  void multiply(Operand a, int b_index) {
    product.a = a.data;
    product.a_block = a.block;
    product.b = panel + b_index * operand_size;
    product.prefetch = next_panel;
    kernel(product);
  }
  void to_partial(Operand a, int b_index, const float* start, float* partial) {
    product.start = start;
    product.finish = Finish::kPartial;
    product.partial = partial;
    multiply(a, b_index);
  }
};

/// Columns of the output that one panel covers in the left or the right half.
struct OutputSide {
  const float* bias;
  float* dst;
  float* sums;
};

void select(Cell& cell, const OutputSide& side, const std::int32_t* offsets) {
  cell.product.bias = side.bias;
  cell.product.dst = side.dst;
  cell.product.sums = side.sums;
  cell.product.offsets = offsets;
}

}  // namespace

void pointwise_strassen(const PointwisePlan& plan, const PointwiseTile& t) {
  const int half = t.pixels / 2, half_k = plan.k_blocks / 2, half_n = plan.n_blocks / 2;
  const std::ptrdiff_t a_block = std::ptrdiff_t{plan.pitch()} * kBlock;
  const std::ptrdiff_t s_block = std::ptrdiff_t{plan.half_pitch()} * kBlock;
  const std::ptrdiff_t s_size = half_k * s_block;
  const std::ptrdiff_t to_a12 = half_k * a_block, to_a21 = std::ptrdiff_t{half} * kBlock;
  const float* a = tile(plan, t.scratch);
  const std::int32_t* offsets = offset_table(plan, t.scratch);
  float* s = t.scratch + plan.tile_floats() + padded(plan.max_pixels);
  float* u = s + 4 * s_size;
  sum_quarters(a, a_block, to_a12, to_a21, half_k, half, s, s_block, s_size);

  for (int index = t.panel_begin; index < t.panel_end; ++index) {
    const Panel panel = plan.panel(index);
    const int width = panel.num_blocks * kBlock, vectors = width / kLanes;
    const int left = panel.first_block, right = panel.first_block + half_n;
    const auto side = [&](int block) {
      return OutputSide{t.bias + block * kBlock, t.dst + block * t.dst_block,
                        t.sums == nullptr ? nullptr : t.sums + block * kBlock};
    };
    Cell cell;
    cell.product.k_blocks = half_k;
    cell.product.floor = t.floor;
    cell.product.dst_block = t.dst_block;
    cell.panel = t.packed + plan.panel_offset(panel.first_block);
    cell.operand_size = std::ptrdiff_t{half_k} * kBlock * width;
    cell.next_panel = index + 1 < t.panel_end ? 7 * cell.operand_size : 0;
    const PixelGroups groups(half, max_pixels(vectors));
    cell.u0 = u;
    cell.u1 = u + max_pixels(vectors) * width;
    int pixel = 0;
    for (int group = 0; group < groups.count; ++group) {
      const int size = groups.size(group);
      cell.kernel = find_microkernel(size, vectors);
      const std::ptrdiff_t at = std::ptrdiff_t{pixel} * kBlock;
      const Operand a11{a + at, a_block}, a12{a + to_a12 + at, a_block};
      const Operand a22{a + to_a12 + to_a21 + at, a_block};
      const Operand s1{s + at, s_block}, s2{s + s_size + at, s_block};
      const Operand s3{s + 2 * s_size + at, s_block}, s4{s + 3 * s_size + at, s_block};
      const std::int32_t* top = offsets + pixel;
      const std::int32_t* bottom = offsets + half + pixel;

      cell.to_partial(a11, 0, nullptr, cell.u0);  // U0 = A11 B11
      cell.product.start = cell.u0;               // C11 = U0 + A12 B21
      cell.product.finish = Finish::kOutput;
      select(cell, side(left), top);
      cell.multiply(a12, 1);
      cell.to_partial(s2, 2, cell.u0, cell.u0);  // U0 += S2 T2
      cell.to_partial(s3, 3, cell.u0, cell.u1);  // U1 = U0 + S3 T3
      cell.product.start = cell.u1;              // C21 = U1 - A22 T4
      cell.product.finish = Finish::kOutput;
      select(cell, side(left), bottom);
      cell.multiply(a22, 4);
      cell.product.start = nullptr;  // P = S1 T1, C22 = U1 + P, U0 += P
      cell.product.finish = Finish::kOutputAndAdd;
      cell.product.partial = cell.u0;
      cell.product.other = cell.u1;
      select(cell, side(right), bottom);
      cell.multiply(s1, 5);
      cell.product.start = cell.u0;  // C12 = U0 + S4 B22
      cell.product.finish = Finish::kOutput;
      select(cell, side(right), top);
      cell.multiply(s4, 6);

      cell.next_panel = 0;
      pixel += size;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
