#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/element.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void global_pool(const MapShape& shape, const float* map, const float* scale, float* mean) {
  const Vec inverse = broadcast(1.0f / (static_cast<float>(shape.height) * shape.width));
  for (int block = 0; block < blocks(shape.channels); ++block) {
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      Vec total = zero();
      for (int y = 0; y < shape.height; ++y) {  // one sum per row keeps the rounding error short
        const float* row = map + shape.offset(block, y, 0) + lane;
        Vec sum = zero();
        for (int x = 0; x < shape.width; ++x) sum = add(sum, load(row + x * kBlock));
        total = add(total, sum);
      }
      Vec result = mul(total, inverse);
      const int channel = block * kBlock + lane;
      if (scale != nullptr) result = mul(result, load(scale + channel));
      store(mean + channel, result);
    }
  }
}

namespace {

constexpr int kLinearVectors = kTraits.linear_vectors;
constexpr int kColumns = kTraits.linear_columns();
// Accumulators of each image and its broadcast, and one weight, fit the registers.
constexpr int kMaxImages = (kTraits.registers - 1) / (kLinearVectors + 1);

// One row of a panel: of each image an input, or a pair of them.
template <int kImages>
__attribute__((always_inline)) inline void multiply_row(Vec (&acc)[kImages][kLinearVectors],
                                                        const float* values, std::ptrdiff_t stride,
                                                        const float* weight) {
  Vec x[kImages];
#pragma GCC unroll 4
  for (int n = 0; n < kImages; ++n) x[n] = broadcast(values[n * stride]);
#pragma GCC unroll 8
  for (int v = 0; v < kLinearVectors; ++v) {
    if constexpr (kImages == 1) {
      const auto* const w = reinterpret_cast<const Vec*>(weight + v * kLanes);
      TileElement::accumulate(acc[0][v], x[0], w);
    } else {
      const Vec w = load(weight + v * kLanes);
#pragma GCC unroll 4
      for (int n = 0; n < kImages; ++n) TileElement::accumulate(acc[n][v], x[n], w);
    }
  }
}

/// Up to kBlock inputs as pairs; what is no input is 0.
inline void round_inputs(const float* src, int count, float* pairs) {
  float whole[kBlock] = {};
  if (count < kBlock) {
    __builtin_memcpy(whole, src, sizeof(float) * static_cast<std::size_t>(count));
    src = whole;
  }
  store_tile(src, pairs, kBlock);
}

// No prefetch: the weights are one long stream, and the hardware follows it better alone (4 %).
// `pairs` [images][kBlock] is for inputs of bfloat16: a caller's, so that what this function has on
// the stack is a spilled vector and nothing else.
template <int kImages>
__attribute__((noinline)) void linear_panel(const float* const src, std::ptrdiff_t src_stride,
                                            int in_features, const float* weight, const float* bias,
                                            std::ptrdiff_t dst_stride, int columns,
                                            [[maybe_unused]] float* pairs, float* dst) {
  Vec acc[kImages][kLinearVectors];
#pragma GCC unroll 4
  for (int n = 0; n < kImages; ++n) {
#pragma GCC unroll 8
    for (int v = 0; v < kLinearVectors; ++v) acc[n][v] = load(bias + v * kLanes);
  }
  if constexpr (kTraits.per_lane == 1) {
    for (int i = 0; i < in_features; ++i, weight += kColumns) {
      multiply_row(acc, src + i, src_stride, weight);
    }
  } else {
    for (int i = 0; i < in_features; i += kBlock) {
      const int count = in_features - i < kBlock ? in_features - i : kBlock;
      for (int n = 0; n < kImages; ++n) {
        round_inputs(src + n * src_stride + i, count, pairs + n * kBlock);
      }
      for (int k = 0; 2 * k < count; ++k, weight += kColumns) {
        multiply_row(acc, pairs + k, kBlock, weight);
      }
    }
  }
  float row[kColumns];
#pragma GCC unroll 4
  for (int n = 0; n < kImages; ++n) {
#pragma GCC unroll 8
    for (int v = 0; v < kLinearVectors; ++v) store(row + v * kLanes, acc[n][v]);
    __builtin_memcpy(dst + n * dst_stride, row, sizeof(float) * static_cast<std::size_t>(columns));
  }
}

}  // namespace

void linear(const LinearPlan& plan, const LinearArgs& args, int panel_begin, int panel_end) {
  float pairs[kMaxImages * kBlock];
  const float* weights = args.packed + std::ptrdiff_t{plan.num_panels()} * kColumns;
  for (int panel = panel_begin; panel < panel_end; ++panel) {
    const float* weight = weights + std::ptrdiff_t{panel} * plan.rows() * kColumns;
    const float* bias = args.packed + std::ptrdiff_t{panel} * kColumns;
    const int first = panel * kColumns;
    const int left = plan.out_features - first;
    const int columns = left < kColumns ? left : kColumns;
    int image = 0;
    for (; image + kMaxImages <= args.batch; image += kMaxImages) {
      linear_panel<kMaxImages>(args.src + image * args.src_stride, args.src_stride,
                               plan.in_features, weight, bias, plan.out_features, columns, pairs,
                               args.dst + std::ptrdiff_t{image} * plan.out_features + first);
    }
    for (; image < args.batch; ++image) {
      linear_panel<1>(args.src + image * args.src_stride, args.src_stride, plan.in_features, weight,
                      bias, plan.out_features, columns, pairs,
                      args.dst + std::ptrdiff_t{image} * plan.out_features + first);
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
