// What the reference knows of an operator, in ops/<operator>.cpp: its function in float64, the
// gradients through it, and the errors that fp32 makes in it (derived in docs/verification.md). One
// that is missing does not link.
#pragma once

#include <cmath>

#include "mobileone/reference/evaluate.hpp"

namespace mobileone::reference {

// One node with the inputs that it is evaluated for.
struct Call {
  const Evaluator& evaluator;
  NodeId id;
  const std::vector<const ReferenceTensor*>& inputs;
  const RandomRounding* rounding = nullptr;  // null: exact
  RunningStatistics* updated = nullptr;      // null: not wanted

  const std::string& name() const { return evaluator.network.graph.node(id).name; }
  const Shape& shape() const { return evaluator.shapes[to_index(id)]; }
  const ReferenceTensor& input(std::size_t i = 0) const { return *inputs[i]; }
  int threads() const { return evaluator.threads; }
  bool training() const { return evaluator.mode == Mode::train; }

  Values exact_weight(const std::string& suffix) const { return evaluator.weight(id, suffix); }
  // Rounded once unless the call is exact.
  Values weight(const std::string& suffix) const { return rounded(suffix, exact_weight(suffix)); }
  Values rounded(const std::string& suffix, Values values) const {
    if (rounding) rounding->round(name() + "." + suffix, values);
    return values;
  }
};

// The node's result. Where call.rounding is set, every value that many of its elements share has
// the errors of fp32.
template <Operator T>
ReferenceTensor evaluate(const T& op, const Call& call);

// Standard deviation of the error of every element of the exact result `y` that the elements do
// not share; empty when there is none.
template <Operator T>
Values deviation(const T& op, const Call& call, const ReferenceTensor& y);

// The vector-Jacobian product: `gradient` is the scalar's by the node's result. A batch norm's
// batch statistics are part of its function. At a kink it is the derivative that PyTorch takes.
template <Operator T>
Gradients vjp(const T& op, const Call& call, const ReferenceTensor& gradient);

// Of sums of so many products with these sums of squares.
inline Values products_deviation(double terms, const ReferenceTensor& y,
                                 const ReferenceTensor& squares, int threads) {
  return each(y.values.size(), threads, [&](std::size_t i) {
    return sum_deviation(terms, y.values[i], squares.values[i], true);
  });
}

}  // namespace mobileone::reference
