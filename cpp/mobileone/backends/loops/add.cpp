#include <cstring>

#include "mobileone/backends/loops/elementwise.hpp"
#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

template <>
void emit(const Add&, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const std::size_t summands = inputs.size();
  add_elementwise(op, builder, inputs, [summands](const auto& x, float* y, std::int64_t count) {
    std::memcpy(y, x(0), static_cast<std::size_t>(count) * sizeof(float));
    for (std::size_t i = 1; i < summands; ++i) {
      const float* const summand = x(i);
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
        for (std::int64_t k = 0; k < count; ++k) y[k] += summand[k];
      });
    }
  });
}

}  // namespace mobileone::loops
