#include "mobileone/kernels/pointwise/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// A pixel of A's upper half and its neighbour, of the lower half, are two pixels apart from the
/// next ones: in T as in S1 and S2, and in S3 and S4.
constexpr int kStep = 2;

/// Strides and pointers of the operands of A: the quarters of T, the sums S1 and S2 and the sums S3
/// and S4, each [k_blocks / 2][pitch][2 pixels][16].
struct Quarters {
  int pixels;                       // of half a tile
  std::ptrdiff_t t_block, s_block;  // floats between channel blocks
  std::ptrdiff_t to_a12;            // floats from A11
  std::ptrdiff_t to_s3;             // floats from S1
  float *a11, *u, *s1;

  Quarters(const PointwisePlan& plan, const PointwiseTile& t) {
    t_block = std::ptrdiff_t{plan.pitch()} * kBlock;
    s_block = std::ptrdiff_t{plan.sum_pitch()} * kBlock;
    to_a12 = plan.k_blocks / 2 * t_block;
    pixels = (t.pixels + 1) / 2;
    to_s3 = plan.k_blocks / 2 * s_block;
    a11 = t.scratch + std::ptrdiff_t{t.pixel_begin} * kBlock;
    u = t.scratch + plan.tile_floats() + padded(plan.tile_pixels);
    s1 = u + kPartialFloats;
  }
};

/// Where the pixels of a call's last group go when their number is odd: the last one, which has no
/// neighbour, is its own, computed and written twice and counted once.
struct LastOffsets {
  std::int32_t at[kStep * kMaxPixels];

  LastOffsets(const std::int32_t* offsets, int count) {
    for (int i = 0; i < count; ++i) at[i] = offsets[i];
    if (count % 2 == 1) at[count] = offsets[count - 1];
  }
};

/// Where a product's outputs are among the outer level's partial results.
class OuterOutputs {
 public:
  explicit OuterOutputs(const OuterStep& step) : step_(step) {}
  /// Of the next `floats` outputs.
  OuterOutput take(std::ptrdiff_t floats) {
    const OuterOutput output{step_.to_map != nullptr ? step_.to_map + at_ : step_.zeros,
                             step_.addend != nullptr ? step_.addend + at_ : step_.zeros,
                             step_.partial != nullptr ? step_.partial + at_ : step_.spare};
    at_ += floats;
    return output;
  }

 private:
  const OuterStep& step_;
  std::ptrdiff_t at_ = 0;
};

}  // namespace

// S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2.
void sum_quarters(const PointwisePlan& plan, const PointwiseTile& t, int block) {
  const Quarters q(plan, t);
  float* a11 = q.a11 + block * q.t_block;
  float* s1 = q.s1 + block * q.s_block;
  if (t.pixels % 2 == 1) {
    float* const last = a11 + std::ptrdiff_t{t.pixels - 1} * kBlock;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      store(last + kBlock + lane, load(last + lane));
      store(last + q.to_a12 + kBlock + lane, load(last + q.to_a12 + lane));
    }
  }
  for (int p = 0; p < q.pixels; ++p, a11 += kStep * kBlock, s1 += kStep * kBlock) {
#pragma GCC unroll 2
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const Vec v11 = load(a11 + lane);
      const Vec v12 = load(a11 + q.to_a12 + lane);
      const Vec v21 = load(a11 + kBlock + lane);
      const Vec v22 = load(a11 + q.to_a12 + kBlock + lane);
      const Vec sum1 = add(v21, v22);
      const Vec sum2 = sub(sum1, v11);
      store(s1 + lane, sum1);
      store(s1 + kBlock + lane, sum2);
      store(s1 + q.to_s3 + lane, sub(v11, v21));
      store(s1 + q.to_s3 + kBlock + lane, sub(v12, sum2));
    }
  }
}

// Three chains per pixel group and panel, with the biases c1 (left columns) and c2 (right columns)
// as their first values; U0 and U1 stay in L1 between them:
//   U0 = c1 + A11 B11;        C11 = U0 + A12 B21
//   U2 = U0 + S2 T2;          U1 = U2 + S3 T3;        C21 = U1 - A22 T4
//   P = c2 - c1 + S1 T1;      C22 = P + U1;           C12 = P + U2 + S4 B22
void pointwise_strassen(const PointwisePlan& plan, const PointwiseTile& t, const OuterStep* outer) {
  const int half_k = plan.k_blocks / 2, half_n = plan.n_blocks / 2;
  const Quarters q(plan, t);
  const std::int32_t* offsets = offset_table(plan, t.scratch) + t.pixel_begin;
  float* u0 = q.u;

  const OuterStep none;
  OuterOutputs outputs(outer != nullptr ? *outer : none);
  const Outputs kind = outer != nullptr    ? Outputs::kOuter
                       : t.sums != nullptr ? Outputs::kSums
                                           : Outputs::kMap;

  const auto widest = [&](int vectors) {
    return outer != nullptr ? max_outer_pixels(vectors) : max_pixels(vectors);
  };

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
  Prefetcher prefetcher(t, PixelGroups(q.pixels, widest(panel_vectors)).count * 7 * half_k,
                        plan.panel_offset(plan.panel_blocks));
  for (int index = t.panel_begin; index < t.panel_end; ++index) {
    const Panel panel = plan.panel(index);
    const int width = panel.num_blocks * kBlock, vectors = width / kLanes;
    const int left = panel.first_block, right = panel.first_block + half_n;
    const std::ptrdiff_t operand = std::ptrdiff_t{half_k} * kBlock * width;
    const float* b = t.packed + plan.panel_offset(left);
    const bool last_panel = index + 1 == t.panel_end;
    const float* const after = outer != nullptr && last_panel ? outer->next : b + 7 * operand;
    const bool ends = last_panel && (outer == nullptr || after == nullptr);
    prefetcher.start_panel(index, after, ends ? after : after + 7 * operand);
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

    const PixelGroups groups(q.pixels, widest(vectors));
    const int before_last = kStep * (q.pixels - groups.size(groups.count - 1));
    const LastOffsets last(offsets + before_last, t.pixels - before_last);
    int pixel = 0;  // of T
    for (int group = 0; group < groups.count; ++group) {
      const int size = groups.size(group);
      const Microkernel kernel = find_microkernel(size, vectors, kind, kStep);
      const float* a = q.a11 + pixel * kBlock;
      const float* s = q.s1 + pixel * kBlock;
      const bool odd = pixel + kStep * size > t.pixels;
      const std::int32_t* top = odd ? last.at : offsets + pixel;
      const std::int32_t* bottom = top + 1;
      first.links[0].a = a;
      first.links[1].a = a + q.to_a12;
      first.links[1].output = t.output(left, top);
      second.links[0].a = s + kBlock;
      second.links[1].a = s + q.to_s3;
      second.links[2].a = a + q.to_a12 + kBlock;
      second.links[2].output = t.output(left, bottom);
      second.links[2].output.skip_last = odd;
      third.links[0].a = s;
      third.links[0].output = t.output(right, bottom);
      third.links[0].output.skip_last = odd;
      third.links[1].a = s + q.to_s3 + kBlock;
      third.links[1].output = t.output(right, top);
      if (outer != nullptr) {
        for (Link* link : {&first.links[1], &second.links[2], &third.links[0], &third.links[1]}) {
          link->outer = outputs.take(std::ptrdiff_t{size} * width);
        }
      }
      for (Chain& chain : chains) {
        chain.prefetch = prefetcher.take(chain.num_links * half_k, b);
        kernel(chain);
      }
      pixel += kStep * size;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
