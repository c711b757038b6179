// The network of the paper's latency studies and the operators that only it has: graphs, exact
// values by hand, and the engine against the float64 reference.
#include <gtest/gtest.h>

#include <cmath>

#include "engine_testing.hpp"
#include "mobileone/models/plain_cnn.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

PlainCnnConfig small_plain(std::int64_t width, const std::string& activation) {
  PlainCnnConfig config;
  config.num_classes = 5;
  config.stem_width = width;
  config.widths = {width, 2 * width, 2 * width};
  config.strides = {1, 2, 1};
  config.activation = activation;
  config.reduction = 4;
  return config;
}

std::shared_ptr<const Network> seeded_plain(const PlainCnnConfig& config) {
  const Graph graph = plain_cnn_graph(config);
  auto network = std::make_shared<Network>(Network{graph, initialize(graph, 5)});
  // Initial biases are zero: these are not, so that gates and coefficients leave their middle.
  std::uint32_t state = 7;
  for (auto& [name, tensor] : network->weights) {
    if (tensor.shape().size() != 1) continue;
    std::vector<double> values(static_cast<std::size_t>(tensor.shape()[0]));
    for (double& value : values) {
      state = state * 1664525u + 1013904223u;
      value = static_cast<double>(state >> 8) / 8388608.0 - 1.0;
    }
    tensor = Tensor::from_doubles(tensor.shape(), values);
  }
  return network;
}

std::int64_t layers(const Graph& graph) {
  std::int64_t count = 0;
  for (const Node& node : graph.nodes()) {
    count += std::holds_alternative<Conv2d>(node.op) || std::holds_alternative<Linear>(node.op);
  }
  return count;
}

TEST(PlainCnn, HasThirtyLayers) { EXPECT_EQ(layers(plain_cnn_graph({})), 30); }

// MobileNetV1's 4.2 M parameters (Howard et al. 2017, Table 4) without its batch norms, plus the
// sixth pair of 512 channels.
TEST(PlainCnn, CountsAsMobileNetWithOnePairMore) {
  PlainCnnConfig mobilenet;
  mobilenet.widths = {64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024};
  mobilenet.strides = {1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1};
  const Shape shape{1, 3, 224, 224};
  const std::int64_t pair = 512 * 9 + 512 * 512;
  EXPECT_EQ(count_macs(plain_cnn_graph({}), shape) - count_macs(plain_cnn_graph(mobilenet), shape),
            14 * 14 * pair);
  EXPECT_EQ(count_parameters(plain_cnn_graph({})) - count_parameters(plain_cnn_graph(mobilenet)),
            pair + 2 * 512);
  EXPECT_NEAR(static_cast<double>(count_parameters(plain_cnn_graph(mobilenet))), 4.2e6, 5e4);
  EXPECT_NEAR(static_cast<double>(count_macs(plain_cnn_graph(mobilenet), shape)), 569e6, 1e6);
}

TEST(PlainCnn, NamesABadField) {
  const auto message = [](const PlainCnnConfig& config) {
    try {
      plain_cnn_graph(config);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  PlainCnnConfig config;
  config.activation = "tanh";
  EXPECT_NE(message(config).find("activation is tanh; expected one of relu"), std::string::npos);
  config = {};
  config.strides.pop_back();
  EXPECT_NE(message(config).find("widths has 14 entries and strides 13"), std::string::npos);
  config = {};
  config.activation = "se_relu";
  config.squeeze_excite = true;
  EXPECT_NE(message(config).find("expected one of both"), std::string::npos);
  config = {};
  config.reduction = 0;
  EXPECT_NE(message(config).find("reduction is 0"), std::string::npos);
}

// 2 channels of 1 pixel, by hand.
TEST(DynamicMax, OfThePapersFormulas) {
  const auto evaluate = [](const DynamicMax& op, std::vector<double> coefficients,
                           std::vector<double> x) {
    Graph graph;
    const NodeId input = graph.add("input", Input{op.channels}, {});
    const NodeId pool = graph.add("pool", GlobalAvgPool{}, {input});
    const Conv2d expand{op.channels, op.coefficients(), {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true};
    const NodeId s = graph.add("s", expand, {pool});
    graph.output = graph.add("y", op, {input, s});
    Weights weights;
    weights.emplace("s.weight", Tensor::from_doubles({op.coefficients(), op.channels, 1, 1},
                                                     std::vector<double>(static_cast<std::size_t>(
                                                         op.coefficients() * op.channels))));
    weights.emplace("s.bias", Tensor::from_doubles({op.coefficients()}, coefficients));
    return reference_forward({graph, weights}, ReferenceTensor{{1, op.channels, 1, 1}, x},
                             {graph.output})[0]
        .values;
  };
  using Values = std::vector<double>;
  // All s = 1/2 are the initial coefficients, which make a ReLU.
  EXPECT_EQ(evaluate({2}, Values(8, 0.5), {-3, 5}), (Values{0, 5}));
  // a1 = 1 + (2 * 0.75 - 1), a2 = 2 * 0.25 - 1, b1 = (2 * 1 - 1) / 2, b2 = 0.
  DynamicMax shared{2};
  shared.shared = true;
  EXPECT_EQ(evaluate(shared, {0.75, 0.25, 1, 0.5}, {-4, 2}), (Values{2, 3.5}));
  // Channels swapped: a[0] = (1, 0), a[1] = (0, 1), so that both are the larger one.
  DynamicMax shift{2, 2, 2, 2, false, false};
  EXPECT_EQ(evaluate(shift, {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1}, {-4, 2}), (Values{2, 2}));
}

TEST(DynamicMax, RefusesCoefficientsThatDoNotFit) {
  Graph graph;
  const NodeId input = graph.add("input", Input{6}, {});
  const NodeId pool = graph.add("pool", GlobalAvgPool{}, {input});
  graph.add("y", DynamicMax{6}, {input, pool});
  EXPECT_THROW(infer_shapes(graph, {1, 6, 4, 4}), Error);
}

class PlainCnnActivations : public ::testing::TestWithParam<std::string> {};

TEST_P(PlainCnnActivations, MatchTheReference) {
  // Whole blocks, remainders of them, and a shift by half a block.
  for (std::int64_t width : {16, 10, 48}) {
    for (bool skip : {false, true}) {
      PlainCnnConfig config = small_plain(width, GetParam());
      config.skip = skip;
      config.squeeze_excite = skip && GetParam() != "se_relu";
      const auto network = seeded_plain(config);
      const Shape shape{2, 3, 24, 21};
      for (int threads : {1, 2}) {
        const auto outputs = stages_and_logits(network->graph);
        const auto plan =
            compile(network, std::make_shared<WeightCache>(), shape, {threads, outputs});
        expect_near_reference(*network, shape, outputs, run(*plan, image(shape)));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PaperTable2, PlainCnnActivations,
                         ::testing::ValuesIn(plain_cnn_activations()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace mobileone
