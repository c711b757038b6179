#include "mobileone/backends/loops/elementwise.hpp"
#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

template <>
void emit(const Dequantize& dequantize, const LoweredOp& op, PlanBuilder& builder) {
  const auto scale = static_cast<float>(dequantize.scale);
  const auto zero_point = static_cast<float>(dequantize.zero_point);
  add_elementwise(op, builder, {builder.node(op.node).inputs[0]},
                  [=](const auto& input, float* y, std::int64_t count) {
                    const float* const x = input(0);
                    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
                      for (std::int64_t i = 0; i < count; ++i) y[i] = (x[i] - zero_point) * scale;
                    });
                  });
}

}  // namespace mobileone::loops
