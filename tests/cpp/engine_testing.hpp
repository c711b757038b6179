// Small seeded networks, their images, and the comparison of engine results with the float64
// reference: tolerances are the derived deviations of fp32 rounding errors.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "mobileone/base/error.hpp"
#include "mobileone/engine.hpp"
#include "mobileone/models/initialize.hpp"
#include "mobileone/models/mobileone.hpp"
#include "mobileone/reference/deviation.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone::testing_engine {

// Twelve standard deviations: a normal error exceeds them once in 10^32.
inline constexpr double kDeviations = 12.0;

inline MobileOneConfig small_config(std::int64_t stem, std::int64_t width, std::int64_t branches) {
  MobileOneConfig config;
  config.stem_width = stem;
  config.widths = {width, 2 * width};
  config.depths = {2, 2};
  config.num_conv_branches = branches;
  config.num_classes = 7;
  add_squeeze_excitation(config, {0, 1});
  return config;
}

inline std::shared_ptr<const Network> seeded(const MobileOneConfig& config) {
  const Graph graph = mobileone_graph(config);
  return std::make_shared<const Network>(Network{graph, initialize(graph, 3)});
}

inline std::vector<float> image(const Shape& shape) {
  std::vector<float> pixels(static_cast<std::size_t>(element_count(shape)));
  std::uint32_t state = 1;
  for (float& pixel : pixels) {
    state = state * 1664525u + 1013904223u;
    pixel = static_cast<float>(state >> 8) / 8388608.f - 1.f;
  }
  return pixels;
}

inline std::vector<NodeId> stages_and_logits(const Graph& graph) {
  std::vector<NodeId> outputs = graph.features;
  outputs.push_back(graph.output);
  return outputs;
}

// A training plan runs on the weights of `network`.
inline std::vector<std::vector<float>> run(const Plan& plan, const std::vector<float>& input,
                                           const Network* network = nullptr,
                                           std::uint64_t dropout_seed = 0) {
  std::vector<std::vector<float>> outputs;
  std::vector<float*> pointers;
  for (const Shape& shape : plan.output_shapes()) {
    outputs.emplace_back(static_cast<std::size_t>(element_count(shape)));
  }
  for (auto& output : outputs) pointers.push_back(output.data());
  std::vector<std::shared_ptr<const void>> parameters;
  if (network != nullptr) parameters = plan.parameters_of(*network);
  plan.run({input.data(), pointers.data(), network ? parameters.data() : nullptr, dropout_seed});
  return outputs;
}

inline void expect_near_reference(const Network& network, const Shape& shape,
                                  const std::vector<NodeId>& outputs,
                                  const std::vector<std::vector<float>>& found) {
  const std::vector<float> pixels = image(shape);
  const ReferenceTensor input{shape, {pixels.begin(), pixels.end()}};
  const auto expected = reference_forward(network, input, outputs);
  const auto deviation = error_deviation(network, input, outputs, 4, 1);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    double worst = 0.0;
    ASSERT_EQ(found[i].size(), expected[i].values.size());
    for (std::size_t k = 0; k < found[i].size(); ++k) {
      worst = std::max(worst, std::abs(static_cast<double>(found[i][k]) - expected[i].values[k]));
    }
    EXPECT_LE(worst, kDeviations * deviation.outputs[i].local_max)
        << network.graph.node(outputs[i]).name << " of " << to_string(shape);
  }
}

}  // namespace mobileone::testing_engine
