#include "mobileone/kernels/pointwise/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Strides and pointers of the operands of A: the quarters of T and the sums S1..S4, each
/// [k_blocks / 2][pitch][16]. Of an odd number of pixels the middle one is in both halves: it
/// is computed and written twice, and counted once.
struct Quarters {
  int pixels;                       // of half a tile
  std::ptrdiff_t t_block, s_block;  // floats between channel blocks
  std::ptrdiff_t to_a12, to_a21;    // floats from A11 to the other quarters
  std::ptrdiff_t s_size;
  float *a11, *u, *s1;

  Quarters(const PointwisePlan& plan, const PointwiseTile& t) {
    t_block = std::ptrdiff_t{plan.pitch()} * kBlock;
    s_block = std::ptrdiff_t{plan.half_pitch()} * kBlock;
    to_a12 = plan.k_blocks / 2 * t_block;
    pixels = (t.pixels + 1) / 2;
    to_a21 = std::ptrdiff_t{t.pixels - pixels} * kBlock;
    s_size = plan.k_blocks / 2 * s_block;
    a11 = t.scratch + std::ptrdiff_t{t.pixel_begin} * kBlock;
    u = t.scratch + plan.tile_floats() + padded(plan.tile_pixels);
    s1 = u + kPartialFloats;
  }
};

}  // namespace

// S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2.
void sum_quarters(const PointwisePlan& plan, const PointwiseTile& t, int block) {
  const Quarters q(plan, t);
  const float* a11 = q.a11 + block * q.t_block;
  float* s1 = q.s1 + block * q.s_block;
  for (int i = 0; i < q.pixels * kBlock; i += kLanes) {
    const Vec v11 = load(a11 + i);
    const Vec v12 = load(a11 + q.to_a12 + i);
    const Vec v21 = load(a11 + q.to_a21 + i);
    const Vec v22 = load(a11 + q.to_a12 + q.to_a21 + i);
    const Vec sum1 = add(v21, v22);
    const Vec sum2 = sub(sum1, v11);
    store(s1 + i, sum1);
    store(s1 + q.s_size + i, sum2);
    store(s1 + 2 * q.s_size + i, sub(v11, v21));
    store(s1 + 3 * q.s_size + i, sub(v12, sum2));
  }
}

// Three chains per pixel group and panel, with the biases c1 (left columns) and c2 (right columns)
// as their first values; U0 and U1 stay in L1 between them:
//   U0 = c1 + A11 B11;        C11 = U0 + A12 B21
//   U2 = U0 + S2 T2;          U1 = U2 + S3 T3;        C21 = U1 - A22 T4
//   P = c2 - c1 + S1 T1;      C22 = P + U1;           C12 = P + U2 + S4 B22
void pointwise_strassen(const PointwisePlan& plan, const PointwiseTile& t) {
  const int half_k = plan.k_blocks / 2, half_n = plan.n_blocks / 2;
  const Quarters q(plan, t);
  const std::int32_t* offsets = offset_table(plan, t.scratch) + t.pixel_begin;
  float* u0 = q.u;

  Chain chains[3];
  Chain &first = chains[0], &second = chains[1], &third = chains[2];
  for (Chain& chain : chains) {
    chain.k_blocks = half_k;
    chain.floor = t.floor;
    chain.dst_block = t.dst_block;
    for (Link& link : chain.links) link.a_block = q.t_block;
  }
  first.num_links = third.num_links = 2;
  second.num_links = 3;
  second.links[0].a_block = second.links[1].a_block = q.s_block;
  third.links[0].a_block = third.links[1].a_block = q.s_block;
  first.links[0].after = second.links[0].after = second.links[1].after = After::kStore;
  third.links[0].after = After::kOutputAdd;
  first.links[0].partial = second.links[0].partial = u0;
  second.start = third.addend = u0;
  float delta[3 * kBlock];
  third.row = delta;

  const int panel_vectors = plan.panel_blocks * kBlock / kLanes;
  Prefetcher prefetcher(t, PixelGroups(q.pixels, max_pixels(panel_vectors)).count * 7 * half_k,
                        plan.panel_offset(plan.panel_blocks));
  for (int index = t.panel_begin; index < t.panel_end; ++index) {
    const Panel panel = plan.panel(index);
    const int width = panel.num_blocks * kBlock, vectors = width / kLanes;
    const int left = panel.first_block, right = panel.first_block + half_n;
    const std::ptrdiff_t operand = std::ptrdiff_t{half_k} * kBlock * width;
    const float* b = t.packed + plan.panel_offset(left);
    prefetcher.start_panel(index, b + 7 * operand,
                           b + (index + 1 < t.panel_end ? 14 : 7) * operand);
    float* u1 = u0 + max_pixels(vectors) * width;
    second.links[1].partial = u1;
    third.other = u1;
    first.links[0].b = b;
    first.links[1].b = b + operand;
    for (int i = 0; i < 3; ++i) second.links[i].b = b + (2 + i) * operand;
    first.row = t.bias + left * kBlock;
    for (int i = 0; i < width; i += kLanes) {
      store(delta + i, sub(load(t.bias + right * kBlock + i), load(first.row + i)));
    }
    third.links[0].b = b + 5 * operand;
    third.links[1].b = b + 6 * operand;

    const PixelGroups groups(q.pixels, max_pixels(vectors));
    int pixel = 0;
    for (int group = 0; group < groups.count; ++group) {
      const Microkernel kernel = find_microkernel(groups.size(group), vectors, t.sums != nullptr);
      const float* a = q.a11 + pixel * kBlock;
      const float* s = q.s1 + pixel * kBlock;
      const std::int32_t *top = offsets + pixel, *bottom = top + (t.pixels - q.pixels);
      first.links[0].a = a;
      first.links[1].a = a + q.to_a12;
      first.links[1].output = t.output(left, top);
      second.links[0].a = s + q.s_size;
      second.links[1].a = s + 2 * q.s_size;
      second.links[2].a = a + q.to_a12 + q.to_a21;
      second.links[2].output = t.output(left, bottom);
      second.links[2].output.skip_first = group == 0 && t.pixels % 2 == 1;
      third.links[0].a = s;
      third.links[0].output = t.output(right, bottom);
      third.links[0].output.skip_first = group == 0 && t.pixels % 2 == 1;
      third.links[1].a = s + 3 * q.s_size;
      third.links[1].output = t.output(right, top);
      for (Chain& chain : chains) {
        chain.prefetch = prefetcher.take(chain.num_links * half_k, b);
        kernel(chain);
      }
      pixel += groups.size(group);
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
