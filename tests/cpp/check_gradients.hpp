// check_gradients: the float64 reference's gradients of a network against differences of its
// results.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "engine_testing.hpp"
#include "mobileone/reference/gradients.hpp"
#include "mobileone/reference/rounding.hpp"

namespace mobileone::testing_gradients {

// From float32's unit roundoff to float64's: errors scale with it.
inline constexpr double kFloat64 = 0x1p-53 / 0x1p-24;

// Both directions of a step change what they change exactly: weights and pixels are float32.
inline constexpr double kStep = 0x1p-20;

// Uniform in [-1, 1).
inline std::vector<double> random_values(std::mt19937& random, std::size_t count) {
  std::vector<double> values(count);
  for (double& value : values) value = static_cast<double>(random()) / 2147483648.0 - 1.0;
  return values;
}

// A scalar of a network: the sum of its results, each times a random factor.
class RandomScalar {
 public:
  RandomScalar(const Graph& graph, Shape result, Mode mode, std::uint64_t dropout_seed,
               std::mt19937& random)
      : output_(graph.output), mode_(mode), dropout_seed_(dropout_seed) {
    const auto count = static_cast<std::size_t>(element_count(result));
    factors_ = {std::move(result), random_values(random, count)};
  }

  double of(const Network& network, const ReferenceInputs& inputs) const {
    const auto y =
        reference_forward(network, inputs, {output_}, mode_, nullptr, 1, dropout_seed_)[0];
    double sum = 0.0;
    for (std::size_t i = 0; i < y.values.size(); ++i) sum += factors_.values[i] * y.values[i];
    return sum;
  }
  ReferenceGradients gradients(const Network& network, const ReferenceInputs& inputs) const {
    const ReferencePass pass(network, inputs, mode_, 1, dropout_seed_);
    return pass.backward({{output_, factors_}});
  }
  // How far float64 may be off, if every result is off by `error`: those and the sum's own.
  double error(const ReferenceTensor& y, double error) const {
    double absolute = 0.0, sum = 0.0, squares = 0.0;
    for (std::size_t i = 0; i < y.values.size(); ++i) {
      absolute += std::abs(factors_.values[i]);
      sum += factors_.values[i] * y.values[i];
      squares += std::pow(factors_.values[i] * y.values[i], 2);
    }
    const auto terms = static_cast<double>(y.values.size());
    return absolute * error + testing_engine::kDeviations * kFloat64 *
                                  reference::sum_deviation(terms, sum, squares, true);
  }

 private:
  NodeId output_;
  Mode mode_;
  std::uint64_t dropout_seed_;
  ReferenceTensor factors_;
};

// By every input and every trainable parameter, along a random direction each. The central
// difference over two steps h misses the derivative by the errors of the two results, divided by
// 2 h, and by what the derivative itself changes within the steps, which is what the forward and
// the backward difference differ by: also at one kink, while several may cancel, so that values
// must not lie on kinks. (A smooth function's third derivative adds h^2 / 6 = 2^-43 times itself.)
// `error` is how far any of the network's results, `y`, may be off in float64.
inline void check_gradients(const Network& network, const ReferenceInputs& inputs, Mode mode,
                            std::uint64_t dropout_seed, const ReferenceTensor& y, double error) {
  std::mt19937 random(11);
  const RandomScalar scalar(network.graph, y.shape, mode, dropout_seed, random);
  const ReferenceGradients found = scalar.gradients(network, inputs);
  const double here = scalar.of(network, inputs), rounding = scalar.error(y, error);
  // `moved(values)` is the scalar where the argument has other values.
  const auto check = [&](const std::string& name, const std::vector<double>& values,
                         const ReferenceTensor& gradient, const auto& moved) {
    ASSERT_EQ(gradient.values.size(), values.size()) << name;
    double expected = 0.0;
    std::vector<double> before = values, after = values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double direction = random() % 2 ? 1.0 : -1.0;
      after[i] += direction * kStep;
      before[i] -= direction * kStep;
      expected += direction * gradient.values[i];
    }
    const double forward = (moved(after) - here) / kStep, backward = (here - moved(before)) / kStep;
    EXPECT_NEAR(expected, (forward + backward) / 2.0,
                std::abs(forward - backward) + rounding / kStep)
        << name;
  };
  for (const auto& [name, given] : inputs) {
    const auto moved = [&, &name = name, &shape = given.shape](const std::vector<double>& values) {
      ReferenceInputs changed = inputs;
      changed[name] = {shape, values};
      return scalar.of(network, changed);
    };
    check(name, given.values, found.inputs.at(name), moved);
  }
  for (const auto& [name, gradient] : found.weights) {
    const auto moved = [&, &name = name,
                        &shape = gradient.shape](const std::vector<double>& values) {
      Network changed = network;
      changed.weights[name] = Tensor::from_doubles(shape, values, DType::float64);
      return scalar.of(changed, inputs);
    };
    check(name, network.weight(name).to_doubles(), gradient, moved);
  }
}

}  // namespace mobileone::testing_gradients
