#include "mobileone/reference/rounding.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/base/error.hpp"
#include "mobileone/reference/parallel.hpp"

namespace mobileone::reference {

namespace {

// Relative error of an fp32 exponential in units of u: vector maths libraries stay within 4 ulp.
constexpr double kExpError = 8.0;
// Absolute error of an fp32 error function in units of u: 1.5e-7 = 2.5 u for Abramowitz & Stegun's
// 7.1.26, whose exponential factor adds at most 0.17 kExpError.
constexpr double kErfError = 4.0;

// Standard deviation of the computed sum of n terms with exact sum `sum` and sum of squares
// `squares`, the terms added one after the other in random order (docs/verification.md, eq. 3).
// `products`: each term is itself the rounded product of two factors.
double sum_deviation(double terms, double sum, double squares, bool products) {
  const double additions = (terms + 1.0) * (sum * sum / 3.0 + squares / 6.0);
  return kUnitRoundoff * std::sqrt(additions + (products ? squares : 0.0));
}

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

  template <typename Unsupported>
  Values operator()(const Unsupported&) const {
    throw NotSupported("[reference] this operator's rounding is not modelled");
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

// SplitMix64's output function (Steele et al. 2014): a hash whose bits are uniform.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// The random sign of element i in a stream; 64 elements share one hash.
double sign_at(std::uint64_t stream, std::size_t i) {
  const std::uint64_t bits = mix(stream + (i / 64 + 1) * 0x9e3779b97f4a7c15ULL);
  return 1.0 - 2.0 * static_cast<double>((bits >> (i % 64)) & 1);
}

// body(i, sign of element i) for i in [0, count), the hash computed once per 64 elements.
template <typename Body>
void for_each_sign(std::uint64_t stream, std::size_t count, int threads, const Body& body) {
  const auto blocks = static_cast<std::int64_t>((count + 63) / 64);
  parallel_for(blocks, 1 << 10, threads, [&](std::int64_t begin, std::int64_t end) {
    for (auto block = static_cast<std::size_t>(begin); block < static_cast<std::size_t>(end);
         ++block) {
      std::uint64_t bits = mix(stream + (block + 1) * 0x9e3779b97f4a7c15ULL);
      for (std::size_t i = block * 64; i < std::min(count, block * 64 + 64); ++i, bits >>= 1) {
        body(i, 1.0 - 2.0 * static_cast<double>(bits & 1));
      }
    }
  });
}

}  // namespace

Values local_deviation(const Evaluator& evaluator, NodeId id,
                       const std::vector<const ReferenceTensor*>& inputs,
                       const ReferenceTensor& y) {
  return std::visit(LocalDeviation{evaluator, id, inputs, y}, evaluator.network.graph.node(id).op);
}

RandomRounding::RandomRounding(std::uint64_t seed, int sample)
    : seed_(mix(mix(seed) + static_cast<std::uint64_t>(sample))) {}

std::uint64_t RandomRounding::stream(const std::string& name) const {
  std::uint64_t hash = seed_;
  for (char c : name) hash = mix(hash ^ static_cast<unsigned char>(c));
  return hash;
}

void RandomRounding::weight(const std::string& name, Values& values) const {
  for_each_sign(stream(name), values.size(), 1,
                [&](std::size_t i, double sign) { values[i] += sign * kUnitRoundoff * values[i]; });
}

void RandomRounding::statistics(const std::string& node, const ReferenceTensor& x,
                                ChannelStatistics& statistics) const {
  const std::uint64_t mean_errors = stream(node + ".batch_mean");
  const std::uint64_t var_errors = stream(node + ".batch_var");
  Affine centre{Values(statistics.mean.size(), 1.0), statistics.mean};
  for (double& shift : centre.shift) shift = -shift;
  const ReferenceTensor centred = apply_affine(x, centre, 1);
  const ChannelStatistics fourth = channel_statistics(squared(centred, 1), 1);
  const auto count = static_cast<double>(element_count(x.shape) / x.shape[1]);
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const double mean = statistics.mean[c], var = statistics.var[c];
    // Sums over the batch of x and of x^2, and of (x - mean)^2 and its square.
    const double mean_error =
        sum_deviation(count, mean * count, (mean * mean + var) * count, false);
    const double fourths = (fourth.var[c] + fourth.mean[c] * fourth.mean[c]) * count;
    const double var_error = sum_deviation(count, var * count, 4.0 * fourths, true);
    statistics.mean[c] +=
        sign_at(mean_errors, c) * std::hypot(mean_error / count, kUnitRoundoff * mean);
    statistics.var[c] +=
        sign_at(var_errors, c) * std::hypot(var_error / count, kUnitRoundoff * var);
  }
}

void RandomRounding::affine(const std::string& node, const ChannelStatistics& statistics,
                            Affine& affine) const {
  const std::uint64_t scale_errors = stream(node + ".scale");
  const std::uint64_t shift_errors = stream(node + ".shift");
  for (std::size_t c = 0; c < affine.scale.size(); ++c) {
    // sqrt halves the error of var + eps; sqrt and division add one rounding each, the product
    // with a convolution's weight a fourth: (1/4 + 1 + 1 + 1) u^2 < (2 u)^2.
    const double error = sign_at(scale_errors, c) * 2.0 * kUnitRoundoff * affine.scale[c];
    const double offset = statistics.mean[c] * affine.scale[c];
    const double shift = affine.shift[c];
    affine.scale[c] += error;
    affine.shift[c] -= statistics.mean[c] * error;
    affine.shift[c] += sign_at(shift_errors, c) * kUnitRoundoff * std::hypot(offset, shift);
  }
}

void RandomRounding::running(const std::string& name, const Values& kept, const Values& added,
                             Values& values) const {
  const std::uint64_t random = stream(name);
  for (std::size_t c = 0; c < values.size(); ++c) {
    // A rounding of each product and of 1 - momentum; the unbiased variance takes two more.
    const double squares = 2.0 * kept[c] * kept[c] + 4.0 * added[c] * added[c];
    values[c] += sign_at(random, c) * sum_deviation(2.0, values[c], squares, true);
  }
}

void RandomRounding::result(const std::string& node, const Values& deviation, ReferenceTensor& y,
                            int threads) const {
  for_each_sign(stream(node), deviation.size(), threads,
                [&](std::size_t i, double sign) { y.values[i] += sign * deviation[i]; });
}

}  // namespace mobileone::reference
