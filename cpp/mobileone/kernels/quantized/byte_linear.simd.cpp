#include "mobileone/kernels/quantized/bytes.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kVectors = QuantizedLinearPlan::kVectors;
// Of so many images sums fit the registers.
constexpr int kMostImages = kTraits.sums == kBlock ? 3 : 1;

struct Outputs {
  float* to;
  std::ptrdiff_t stride;
  int count;
};

// A panel's outputs of kImages images; each vector of weights is read once.
template <int kImages>
void multiply(const QuantizedLinearPlan& plan, const std::uint8_t* src, const std::byte* packed,
              const Outputs& out) {
  const std::byte* const bias = packed + plan.weight_bytes();
  const std::ptrdiff_t image = padded(plan.inputs);
  Sums sums[kImages][kVectors];
#pragma GCC unroll 3
  for (int n = 0; n < kImages; ++n) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[n][v] = load_sums(bias + v * kVectorBytes);
  }
  for (int group = 0; group < plan.groups(); ++group, packed += kVectors * kWeightBytes) {
    Sums x[kImages];
#pragma GCC unroll 3
    for (int n = 0; n < kImages; ++n) x[n] = broadcast(src + n * image + 4 * group);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Weights held = hold(packed + v * kWeightBytes);
#pragma GCC unroll 3
      for (int n = 0; n < kImages; ++n) sums[n][v] = dot(sums[n][v], x[n], held);
    }
  }
  const std::byte* const multiplier = bias + kVectors * kVectorBytes;
#pragma GCC unroll 3
  for (int n = 0; n < kImages; ++n) {
    alignas(64) float row[kVectors * kTraits.sums];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Floats factor = hold_floats(multiplier + v * kVectorBytes);
      store_floats(row + v * kTraits.sums, scaled_sums(sums[n][v], factor));
    }
    __builtin_memcpy(out.to + n * out.stride, row,
                     sizeof(float) * static_cast<std::size_t>(out.count));
  }
}

}  // namespace

void run_quantized_linear(const QuantizedLinearPlan& plan, const QuantizedLinearArgs& args,
                          int begin, int end) {
  const std::ptrdiff_t image = padded(plan.inputs);
  for (int panel = begin; panel < end; ++panel) {
    const std::byte* const packed =
        args.packed +
        static_cast<std::ptrdiff_t>(panel) * static_cast<std::ptrdiff_t>(plan.panel_bytes());
    const int first = panel * plan.panel_outputs(), left = plan.outputs - first;
    const int count = left < plan.panel_outputs() ? left : plan.panel_outputs();
    for (int n = 0; n < args.batch;) {
      const std::uint8_t* const src = args.src + n * image;
      const Outputs out{args.dst + std::ptrdiff_t{n} * plan.outputs + first, plan.outputs, count};
      if (n + kMostImages <= args.batch) {
        multiply<kMostImages>(plan, src, packed, out);
        n += kMostImages;
      } else {
        multiply<1>(plan, src, packed, out);
        ++n;
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
