// Graph construction, shape inference, counts and their error messages.
#include "mobileone/graph/graph.hpp"

#include <gtest/gtest.h>

#include "mobileone/base/error.hpp"

namespace mobileone {
namespace {

template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1,
            std::int64_t groups = 1, bool bias = false) {
  return {in,     out, {kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}, {1, 1},
          groups, bias};
}

// input -> conv -> bn -> relu -> (+ conv) -> se-like gate -> gap -> linear
Graph small_graph() {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId stem = graph.add("stem", conv(3, 8, 3, 2), {input});
  const NodeId norm = graph.add("norm", BatchNorm{8}, {stem});
  const NodeId relu = graph.add("relu", Activation{}, {norm});
  const NodeId depthwise = graph.add("depthwise", conv(8, 8, 3, 1, 8, true), {relu});
  const NodeId sum = graph.add("sum", Add{}, {relu, depthwise, norm});
  const NodeId pool = graph.add("pool", GlobalAvgPool{}, {sum});
  const NodeId gate = graph.add("gate", Activation{ActivationKind::sigmoid}, {pool});
  const NodeId scale = graph.add("scale", Multiply{}, {sum, gate});
  const NodeId gap = graph.add("gap", GlobalAvgPool{}, {scale});
  graph.output = graph.add("linear", Linear{8, 5}, {gap});
  graph.features = {scale};
  return graph;
}

TEST(Graph, FindsNodesByName) {
  const Graph graph = small_graph();
  EXPECT_EQ(graph.node(graph.find("depthwise")).name, "depthwise");
  EXPECT_EQ(message_of([&] { graph.find("absent"); }), "[graph] there is no node named absent");
  EXPECT_ANY_THROW(graph.node(-1));
  EXPECT_ANY_THROW(graph.node(11));
}

TEST(Graph, ListsConsumersInOrder) {
  const Graph graph = small_graph();
  const auto consumers = graph.consumers();
  const auto of = [&](const char* name) {
    return consumers[static_cast<std::size_t>(graph.find(name))];
  };
  EXPECT_EQ(of("norm"), (std::vector<NodeId>{graph.find("relu"), graph.find("sum")}));
  EXPECT_EQ(of("linear"), std::vector<NodeId>{});
}

TEST(Graph, ListsAConsumerOncePerUse) {
  Graph graph;
  const NodeId input = graph.add("input", Input{1}, {});
  const NodeId twice = graph.add("twice", Add{}, {input, input});
  EXPECT_EQ(graph.consumers()[0], (std::vector<NodeId>{twice, twice}));
}

TEST(Graph, RefusesDuplicateNames) {
  Graph graph = small_graph();
  EXPECT_EQ(message_of([&] { graph.add("relu", Activation{}, {0}); }),
            "[graph] two nodes are named relu");
  EXPECT_EQ(graph.nodes().size(), 11u);  // a refused node leaves nothing behind
  EXPECT_EQ(graph.node(graph.find("relu")).inputs, std::vector<NodeId>{graph.find("norm")});
}

TEST(Graph, RefusesUnknownInputs) {
  Graph graph;
  graph.add("input", Input{3}, {});
  for (NodeId input : {-1, 1, 7}) {
    EXPECT_EQ(message_of([&] { graph.add("relu", Activation{}, {input}); }),
              concat("[graph] relu: input ", input, " is not an earlier node"));
  }
}

TEST(Graph, RefusesTheWrongNumberOfInputs) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  EXPECT_EQ(message_of([&] { graph.add("relu", Activation{}, {}); }),
            "[graph] relu: Activation has 0 inputs; expected 1");
  EXPECT_EQ(message_of([&] { graph.add("times", Multiply{}, {input}); }),
            "[graph] times: Multiply has 1 inputs; expected 2");
  EXPECT_EQ(message_of([&] { graph.add("second", Input{3}, {input}); }),
            "[graph] second: Input has 1 inputs; expected 0");
  EXPECT_EQ(message_of([&] { graph.add("sum", Add{}, {}); }),
            "[graph] sum: Add has 0 inputs; expected 1 or more");
  EXPECT_THROW(graph.add("conv", conv(3, 3, 1), {input, input}), Error);
}

Shape shape_of(const Graph& graph, const char* name, const Shape& input) {
  return infer_shapes(graph, input)[static_cast<std::size_t>(graph.find(name))];
}

TEST(ShapeInference, FollowsTheGraph) {
  const Graph graph = small_graph();
  EXPECT_EQ(shape_of(graph, "stem", {2, 3, 33, 64}), (Shape{2, 8, 17, 32}));
  EXPECT_EQ(shape_of(graph, "scale", {2, 3, 33, 64}), (Shape{2, 8, 17, 32}));
  EXPECT_EQ(shape_of(graph, "gate", {2, 3, 33, 64}), (Shape{2, 8, 1, 1}));
  EXPECT_EQ(shape_of(graph, "linear", {2, 3, 33, 64}), (Shape{2, 5}));
  EXPECT_EQ(shape_of(graph, "linear", {0, 3, 33, 64}), (Shape{0, 5}));
}

// floor((n + 2 p - d (k - 1) - 1) / s) + 1, per axis.
TEST(ShapeInference, ConvolvesEachAxisOnItsOwn) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  graph.add("conv", Conv2d{4, 6, {3, 5}, {2, 3}, {1, 0}, {2, 1}, 2, true}, {input});
  EXPECT_EQ(shape_of(graph, "conv", {1, 4, 10, 11}), (Shape{1, 6, 4, 3}));
  EXPECT_EQ(shape_of(graph, "conv", {1, 4, 3, 5}), (Shape{1, 6, 1, 1}));
  EXPECT_EQ(message_of([&] { infer_shapes(graph, {1, 4, 2, 5}); }),
            "[Conv2d] conv: input (1, 4, 2, 5) is smaller than the kernel");
}

TEST(ShapeInference, NamesTheInputThatDoesNotFit) {
  const Graph graph = small_graph();
  const std::string expected = "; expected (batch, 3, height, width)";
  EXPECT_EQ(message_of([&] { infer_shapes(graph, {1, 4, 32, 32}); }),
            "[Input] input: has shape (1, 4, 32, 32)" + expected);
  EXPECT_EQ(message_of([&] { infer_shapes(graph, {3, 32, 32}); }),
            "[Input] input: has shape (3, 32, 32)" + expected);
  EXPECT_THROW(infer_shapes(graph, {-1, 3, 32, 32}), Error);
  EXPECT_THROW(infer_shapes(graph, {1, 3, 0, 32}), Error);
}

TEST(ShapeInference, NamesTheNodeThatDoesNotFit) {
  const auto fails = [](const Op& op, const std::string& message) {
    Graph graph;
    const NodeId input = graph.add("input", Input{4}, {});
    const NodeId pooled = graph.add("pooled", GlobalAvgPool{}, {input});
    const bool binary = std::holds_alternative<Multiply>(op) || std::holds_alternative<Add>(op);
    graph.add("x", op, binary ? std::vector<NodeId>{pooled, input} : std::vector<NodeId>{input});
    EXPECT_EQ(message_of([&] { infer_shapes(graph, {1, 4, 6, 6}); }), message);
  };
  fails(conv(3, 8, 3), "[Conv2d] x: input has 4 channels; expected 3");
  fails(BatchNorm{5}, "[BatchNorm] x: input has 4 channels; expected 5");
  fails(Linear{4, 2}, "[Linear] x: input has shape (1, 4, 6, 6); expected (..., 4)");
  fails(Add{}, "[Add] x: adds (1, 4, 1, 1) and (1, 4, 6, 6)");
  fails(Multiply{}, "[Multiply] x: multiplies (1, 4, 1, 1) by (1, 4, 6, 6)");
}

TEST(Counts, ParametersWithoutRunningStatistics) {
  // stem 8*3*9, norm 2*8, depthwise 8*9 + 8, linear 8*5 + 5
  EXPECT_EQ(count_parameters(small_graph()), 216 + 16 + 80 + 45);
}

TEST(Counts, MacsOfConvolutionsAndLinearLayersOnly) {
  // 16 x 16 positions after the stride-2 stem
  const std::int64_t one = 256 * (216 + 72) + 40;
  EXPECT_EQ(count_macs(small_graph(), {1, 3, 32, 32}), one);
  EXPECT_EQ(count_macs(small_graph(), {3, 3, 32, 32}), 3 * one);
}

TEST(Parameters, AreNamedInPyTorchsOrder) {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters(small_graph())) names.push_back(parameter.name);
  EXPECT_EQ(names, (std::vector<std::string>{"stem.weight", "norm.weight", "norm.bias",
                                             "norm.running_mean", "norm.running_var",
                                             "norm.num_batches_tracked", "depthwise.weight",
                                             "depthwise.bias", "linear.weight", "linear.bias"}));
}

Network small_network() {
  Network network{small_graph(), {}};
  for (const Parameter& p : parameters(network.graph)) {
    const std::vector<double> ones(static_cast<std::size_t>(element_count(p.shape)), 1.0);
    network.weights[p.name] =
        p.dtype == DType::int64 ? Tensor::from_int64(1) : Tensor::from_doubles(p.shape, ones);
  }
  return network;
}

TEST(CheckWeights, AcceptsACompleteNetwork) {
  EXPECT_EQ(message_of([] { check_weights(small_network()); }), "no Error");
}

TEST(CheckWeights, NamesTheWeight) {
  Network network = small_network();
  network.weights.erase("norm.running_var");
  EXPECT_EQ(message_of([&] { check_weights(network); }),
            "[network] weight norm.running_var is missing");

  network = small_network();
  network.weights["depthwise.weight"] = Tensor::from_doubles({1}, {1});
  EXPECT_EQ(message_of([&] { check_weights(network); }),
            "[network] weight depthwise.weight is float32 (1,); expected float32 (8, 1, 3, 3)");

  network = small_network();
  network.weights["linear.bias"] = Tensor::from_doubles({5}, {1, 1, 1, 1, 1}, DType::float64);
  EXPECT_EQ(message_of([&] { check_weights(network); }),
            "[network] weight linear.bias is float64 (5,); expected float32 (5,)");

  network = small_network();
  network.weights["other.weight"] = Tensor::from_doubles({1}, {1});
  EXPECT_EQ(message_of([&] { check_weights(network); }),
            "[network] weight other.weight (1,) is not part of the graph");
}

}  // namespace
}  // namespace mobileone
