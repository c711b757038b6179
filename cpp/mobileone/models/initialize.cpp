#include "mobileone/models/initialize.hpp"

#include <cmath>
#include <numbers>
#include <string_view>
#include <utility>

namespace mobileone {

namespace {

// SplitMix64 (Steele et al. 2014): small, well tested, and exactly specified everywhere, which
// std::normal_distribution is not.
class Random {
 public:
  Random(std::uint64_t seed, std::string_view name) : state_(seed) {
    for (char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    next();
  }

  // Box-Muller, which makes two at a time.
  double normal() {
    if (std::exchange(has_second_, !has_second_)) return second_;
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    const double angle = 2.0 * std::numbers::pi * uniform();
    second_ = radius * std::sin(angle);
    return radius * std::cos(angle);
  }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  // In (0, 1], so that its logarithm is finite.
  double uniform() { return (static_cast<double>(next() >> 11) + 1.0) * 0x1p-53; }

  std::uint64_t state_;
  bool has_second_ = false;
  double second_ = 0.0;
};

Tensor normal(const Parameter& parameter, double deviation, std::uint64_t seed) {
  Random random(seed, parameter.name);
  std::vector<double> values(static_cast<std::size_t>(element_count(parameter.shape)));
  for (double& value : values) value = deviation * random.normal();
  return Tensor::from_doubles(parameter.shape, values);
}

Tensor constant(const Parameter& parameter, double value) {
  return Tensor::from_doubles(
      parameter.shape,
      std::vector<double>(static_cast<std::size_t>(element_count(parameter.shape)), value));
}

// Of linear layers: as the authors of MobileOne and of MobileViT draw them.
double linear_deviation(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    if (std::holds_alternative<Attention>(node.op)) return 0.02;
  }
  return 0.01;
}

Tensor initial_value(const Node& node, const Parameter& parameter, double linear,
                     std::uint64_t seed) {
  if (parameter.dtype == DType::int64) return Tensor::from_int64(0);
  const std::string suffix = parameter.name.substr(node.name.size() + 1);
  if (suffix != "weight") return constant(parameter, suffix == "running_var" ? 1.0 : 0.0);
  if (const auto* conv = std::get_if<Conv2d>(&node.op)) {
    const auto fan_out =
        static_cast<double>(conv->out_channels / conv->groups * conv->kernel[0] * conv->kernel[1]);
    return normal(parameter, std::sqrt(2.0 / fan_out), seed);
  }
  if (std::holds_alternative<Linear>(node.op)) return normal(parameter, linear, seed);
  return constant(parameter, 1.0);
}

}  // namespace

Weights initialize(const Graph& graph, std::uint64_t seed) {
  Weights weights;
  const double linear = linear_deviation(graph);
  for (const Node& node : graph.nodes()) {
    for (const Parameter& parameter : parameters(node.name, node.op)) {
      weights.emplace(parameter.name, initial_value(node, parameter, linear, seed));
    }
  }
  return weights;
}

}  // namespace mobileone
