#include "mobileone/backends/loops/activation.hpp"

#include "mobileone/backends/loops/elementwise.hpp"
#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

template <typename Function>
void apply(const float* x, float* y, std::int64_t count, const Function& f) {
  vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(x[i]);
  });
}

MOBILEONE_INLINE float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }

}  // namespace

void activate(ActivationKind kind, const float* x, float* y, std::int64_t count) {
  switch (kind) {
    case ActivationKind::relu:
      return apply(x, y, count, [](float v) MOBILEONE_INLINE_LAMBDA { return v < 0.f ? 0.f : v; });
    case ActivationKind::sigmoid:
      return apply(x, y, count, [](float v) MOBILEONE_INLINE_LAMBDA { return sigmoid(v); });
    case ActivationKind::silu:
      return apply(x, y, count, [](float v) MOBILEONE_INLINE_LAMBDA { return v * sigmoid(v); });
    case ActivationKind::hard_sigmoid:
      return apply(x, y, count, [](float v) MOBILEONE_INLINE_LAMBDA {
        const float line = v * (1.f / 6.f) + 0.5f;
        return line < 0.f ? 0.f : (line > 1.f ? 1.f : line);
      });
    case ActivationKind::gelu:
      return apply(x, y, count, [](float v) MOBILEONE_INLINE_LAMBDA {
        return 0.5f * v * (1.f + std::erf(v * 0.707106781f));
      });
    case ActivationKind::leaky_relu:
      return apply(x, y, count, [](float v) MOBILEONE_INLINE_LAMBDA {
        return v < 0.f ? static_cast<float>(kLeak) * v : v;
      });
    default:  // the graph's own function
      for (std::int64_t i = 0; i < count; ++i) {
        y[i] = static_cast<float>(mobileone::activation(kind).value(x[i]));
      }
  }
}

template <>
void emit(const Activation& activation, const LoweredOp& op, PlanBuilder& builder) {
  const ActivationKind kind = activation.kind;
  add_elementwise(
      op, builder, {builder.node(op.node).inputs[0]},
      [kind](const auto& x, float* y, std::int64_t count) { activate(kind, x(0), y, count); });
}

}  // namespace mobileone::loops
