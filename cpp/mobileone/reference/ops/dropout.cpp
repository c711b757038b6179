#include "mobileone/graph/dropout.hpp"

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

bool drops(const Dropout& op, const Call& call) { return call.training() && op.p != 0.0; }

}  // namespace

template <>
ReferenceTensor evaluate(const Dropout& op, const Call& call) {
  if (!drops(op, call)) return call.input();
  const double scale = call.rounded("scale", {1.0 / (1.0 - op.p)})[0];
  const DropoutMask mask(call.evaluator.dropout_seed, call.name(), op.p);
  ReferenceTensor y = call.input();
  for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] *= mask.keeps(i) ? scale : 0.0;
  return y;
}

// The product with 1 / (1 - p), which itself is rounded once.
template <>
Values deviation(const Dropout& op, const Call& call, const ReferenceTensor& y) {
  if (!drops(op, call)) return {};
  return each(y.values.size(), call.threads(),
              [&](std::size_t i) { return kUnitRoundoff * std::abs(y.values[i]); });
}

template <>
Gradients vjp(const Dropout& op, const Call& call, const ReferenceTensor& gradient) {
  if (!drops(op, call)) return {{gradient}, {}};
  const DropoutMask mask(call.evaluator.dropout_seed, call.name(), op.p);
  return {{elementwise(call.shape(), call.threads(),
                       [&](std::size_t i) {
                         return mask.keeps(i) ? gradient.values[i] / (1.0 - op.p) : 0.0;
                       })},
          {}};
}

}  // namespace mobileone::reference
