#include "mobileone/backends/loops/elementwise.hpp"
#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/vectors.hpp"
#include "mobileone/kernels/byte_rounding.hpp"

namespace mobileone::loops {

template <>
void emit(const Quantize& quantize, const LoweredOp& op, PlanBuilder& builder) {
  const auto scale = static_cast<float>(quantize.scale);
  const kernels::ByteRounding range{static_cast<float>(quantize.zero_point), 0.f};
  add_elementwise(op, builder, {builder.node(op.node).inputs[0]},
                  [=](const auto& input, float* y, std::int64_t count) {
                    const float* const x = input(0);
                    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
                      for (std::int64_t i = 0; i < count; ++i) y[i] = range.round(x[i] / scale);
                    });
                  });
}

}  // namespace mobileone::loops
