// Standard deviations of the errors that one operator's roundings leave in each of its results.
#include <cmath>

#include "mobileone/reference/parallel.hpp"
#include "mobileone/reference/rounding.hpp"

namespace mobileone::reference {

namespace {

// Absolute error of an fp32 error function in units of u: 1.5e-7 = 2.5 u for Abramowitz & Stegun's
// 7.1.26, whose exponential factor adds at most 0.17 kExpError.
constexpr double kErfError = 4.0;

struct LocalDeviation {
  const Evaluator& evaluator;
  NodeId id;
  const std::vector<const ReferenceTensor*>& inputs;
  const ReferenceTensor& y;

  Values operator()(const Input&) const { return {}; }

  Values operator()(const Conv2d& op) const {
    const auto terms = static_cast<double>(
        op.in_channels / op.groups * op.kernel[0] * op.kernel[1] + (op.bias ? 1 : 0));
    return of_products(terms,
                       convolve(squared(*inputs[0], evaluator.threads), op, squares("weight"),
                                op.bias ? squares("bias") : Values{}, y.shape, evaluator.threads));
  }

  Values operator()(const Linear& op) const {
    const auto terms = static_cast<double>(op.in_features + (op.bias ? 1 : 0));
    return of_products(
        terms, multiply_matrix(squared(*inputs[0], evaluator.threads), op, squares("weight"),
                               op.bias ? squares("bias") : Values{}, y.shape, evaluator.threads));
  }

  // The three terms x * scale, -mean * scale and beta, in whatever way they are grouped.
  Values operator()(const BatchNorm&) const {
    const ReferenceTensor& x = *inputs[0];
    const ChannelStatistics statistics = evaluator.statistics(id, x);
    const Affine affine = evaluator.affine(id, statistics);
    const Values beta = evaluator.weight(id, "bias");
    const std::size_t plane = static_cast<std::size_t>(x.shape[2] * x.shape[3]);
    return each([&](std::size_t i) {
      const std::size_t c = i / plane % beta.size();
      const double scaled = x.values[i] * affine.scale[c];
      const double offset = statistics.mean[c] * affine.scale[c];
      return sum_deviation(3.0, y.values[i], scaled * scaled + offset * offset + beta[c] * beta[c],
                           true);
    });
  }

  Values operator()(const Activation& op) const {
    if (op.kind == ActivationKind::relu) return {};
    return each([&](std::size_t i) {
      return kUnitRoundoff * activation_error(op.kind, inputs[0]->values[i], y.values[i]);
    });
  }

  // In units of u, of y = f(x).
  static double activation_error(ActivationKind kind, double x, double v) {
    switch (kind) {
      case ActivationKind::relu:
        return 0.0;
      case ActivationKind::sigmoid:
        // 1 / (1 + e), e = exp(-x): e's error enters with dy/de = -y^2, i.e. relatively (1 - y);
        // then one addition and one division.
        return v * std::sqrt(std::pow(kExpError * (1.0 - v), 2) + 2.0);
      case ActivationKind::silu: {
        // The sigmoid's error and one product; the sigmoid of 0 is 1/2.
        const double gate = x == 0.0 ? 0.5 : v / x;
        return std::abs(v) * std::sqrt(std::pow(kExpError * (1.0 - gate), 2) + 3.0);
      }
      case ActivationKind::gelu:
        // x / 2 times (1 + erf): the error function, one addition, two products.
        return std::hypot(kErfError * x / 2.0, std::sqrt(3.0) * v);
      case ActivationKind::hard_sigmoid:
        // The constant 1/6, the product and the sum; nothing where it is clamped.
        return v <= 0.0 || v >= 1.0 ? 0.0 : std::hypot(std::sqrt(2.0) * x / 6.0, v);
    }
    return 0.0;
  }

  // The coefficients' own roundings, one each, are shared by a channel's pixels.
  Values operator()(const DynamicMax& op) const {
    const ReferenceTensor squares =
        dynamic_max(*inputs[0], op, dynamic_coefficients(op, *inputs[1]), true, evaluator.threads);
    return of_products(static_cast<double>(op.terms + (op.offsets ? 1 : 0)), squares);
  }

  Values operator()(const Add&) const {
    return each([&](std::size_t i) {
      double squares = 0.0;
      for (const ReferenceTensor* x : inputs) squares += x->values[i] * x->values[i];
      return sum_deviation(static_cast<double>(inputs.size()), y.values[i], squares, false);
    });
  }

  Values operator()(const Multiply&) const {
    return each([&](std::size_t i) { return kUnitRoundoff * std::abs(y.values[i]); });
  }

  Values operator()(const GlobalAvgPool&) const {
    const ReferenceTensor& x = *inputs[0];
    const auto terms = static_cast<double>(x.shape[2] * x.shape[3]);
    const ReferenceTensor squares = global_average(squared(x, evaluator.threads), 1);
    return each([&](std::size_t i) {
      const double sum =
          sum_deviation(terms, y.values[i] * terms, squares.values[i] * terms, false);
      return std::hypot(sum / terms, kUnitRoundoff * y.values[i]);
    });
  }

  // The three terms x * r * gamma, mean * r * gamma and beta, in whatever way they are grouped;
  // the errors of the mean and of r = 1 / sqrt(var + eps) are shared by a row.
  Values operator()(const LayerNorm& op) const {
    const ReferenceTensor& x = *inputs[0];
    const RowStatistics statistics = row_statistics(x, op.eps, evaluator.threads);
    const Values gamma = evaluator.weight(id, "weight"), beta = evaluator.weight(id, "bias");
    return each([&](std::size_t i) {
      const std::size_t row = i / gamma.size(), c = i % gamma.size();
      const double gain = statistics.scale[row] * gamma[c];
      const double scaled = x.values[i] * gain, offset = statistics.mean[row] * gain;
      return sum_deviation(3.0, y.values[i], scaled * scaled + offset * offset + beta[c] * beta[c],
                           true);
    });
  }

  // The weighted sum of values and its division; what happens to the weights before is shared by a
  // head's features.
  Values operator()(const Attention& op) const {
    const auto squares_of = [&](const ReferenceTensor& x, std::int64_t) {
      ReferenceTensor weights = attention_products(x, op.heads, false, evaluator.threads);
      const double scale = attention_scale(x.shape, op.heads);
      for (double& score : weights.values) score *= scale;
      softmax(weights, Values(static_cast<std::size_t>(op.heads * x.shape[1]), 1.0),
              evaluator.threads);
      return attend(x, weights, true, evaluator.threads);
    };
    const ReferenceTensor squares = for_each_sequence(*inputs[0], squares_of);
    const auto terms = static_cast<double>(inputs[0]->shape[1]);
    return each([&](std::size_t i) {
      return std::hypot(sum_deviation(terms, y.values[i], squares.values[i], true),
                        kUnitRoundoff * y.values[i]);
    });
  }

  Values operator()(const Unfold&) const { return {}; }
  Values operator()(const Fold&) const { return {}; }
  Values operator()(const Concat&) const { return {}; }

  // Four terms; each weight takes three more roundings: of 1 - a, of 1 - b and of their product.
  Values operator()(const Resize&) const {
    const ReferenceTensor& x = *inputs[0];
    if (x.shape == y.shape) return {};
    Interpolation rows(x.shape[2], y.shape[2]), columns(x.shape[3], y.shape[3]);
    for (Values* weights :
         {&rows.low_weight, &rows.high_weight, &columns.low_weight, &columns.high_weight}) {
      *weights = squared(std::move(*weights));
    }
    const ReferenceTensor squares =
        interpolate(squared(x, evaluator.threads), rows, columns, evaluator.threads);
    return each([&](std::size_t i) {
      return std::hypot(sum_deviation(4.0, y.values[i], squares.values[i], true),
                        kUnitRoundoff * std::sqrt(3.0 * squares.values[i]));
    });
  }

  // The product with 1 / (1 - p), which itself is rounded once.
  Values operator()(const Dropout& op) const {
    if (evaluator.mode == Mode::eval || op.p == 0.0) return {};
    return each([&](std::size_t i) { return kUnitRoundoff * std::abs(y.values[i]); });
  }

 private:
  template <typename Value>
  Values each(const Value& value) const {
    Values result(y.values.size());
    parallel_for(static_cast<std::int64_t>(result.size()), 1 << 16, evaluator.threads,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end);
                        ++i) {
                     result[i] = value(i);
                   }
                 });
    return result;
  }

  Values squares(const std::string& suffix) const { return squared(evaluator.weight(id, suffix)); }

  Values of_products(double terms, const ReferenceTensor& squares) const {
    return each(
        [&](std::size_t i) { return sum_deviation(terms, y.values[i], squares.values[i], true); });
  }
};

}  // namespace

double sum_deviation(double terms, double sum, double squares, bool products) {
  const double additions = (terms + 1.0) * (sum * sum / 3.0 + squares / 6.0);
  return kUnitRoundoff * std::sqrt(additions + (products ? squares : 0.0));
}

Values local_deviation(const Evaluator& evaluator, NodeId id,
                       const std::vector<const ReferenceTensor*>& inputs,
                       const ReferenceTensor& y) {
  return std::visit(LocalDeviation{evaluator, id, inputs, y}, evaluator.network.graph.node(id).op);
}

}  // namespace mobileone::reference
