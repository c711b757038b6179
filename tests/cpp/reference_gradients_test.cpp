// The float64 gradients of whole graphs and the cross entropy; single operators' are check_op's.
#include "mobileone/reference/gradients.hpp"

#include <gtest/gtest.h>

#include "check_gradients.hpp"
#include "check_op.hpp"
#include "mobileone/models/mobilevit.hpp"
#include "mobileone/reference/cross_entropy.hpp"

namespace mobileone {
namespace {

using testing_gradients::check_gradients;
using testing_gradients::kFloat64;

ReferenceInputs inputs_of(const Graph& graph, const Shape& shape) {
  const std::vector<float> pixels = testing_engine::image(shape);
  return {{graph.node(graph.inputs()[0]).name, {shape, {pixels.begin(), pixels.end()}}}};
}

void expect_gradients(const Network& network, const ReferenceInputs& inputs, Mode mode) {
  const std::vector<NodeId> wanted{network.graph.output};
  const auto y = reference_forward(network, inputs, wanted, mode, nullptr, 1)[0];
  const auto deviation = error_deviation(network, inputs, wanted, 4, 1, mode, 1).outputs[0];
  check_gradients(network, inputs, mode, 0, y,
                  testing_engine::kDeviations * kFloat64 * deviation.local_max);
}

TEST(Gradients, OfAMobileOneAreItsDifferences) {
  const Graph graph = mobileone_graph(testing_engine::small_config(8, 8, 2));
  const Network network{graph, testing_op::seeded_weights(graph)};
  const ReferenceInputs inputs = inputs_of(graph, {3, 3, 33, 40});
  for (const Mode mode : {Mode::train, Mode::eval}) expect_gradients(network, inputs, mode);
}

// x y^2 + y, summed: every reader of a node adds to its gradient.
TEST(Gradients, AddUpOverTheReadersOfANode) {
  Network network;
  Graph& graph = network.graph;
  const NodeId x = graph.add("x", Input{1}, {}), y = graph.add("y", Input{1}, {});
  const NodeId unread = graph.add("unread", Input{1}, {});
  const NodeId square = graph.add("square", Multiply{}, {y, y});
  const NodeId product = graph.add("product", Multiply{}, {x, square});
  graph.output = graph.add("sum", Add{}, {product, y});
  const Shape shape{1, 1, 1, 2};
  const ReferencePass pass(
      network, {{"x", {shape, {2, 3}}}, {"y", {shape, {5, 7}}}, {"unread", {shape, {1, 1}}}});
  const auto found = pass.backward({{graph.output, {shape, {1, 10}}}});
  EXPECT_EQ(found.inputs.at("x").values, (std::vector<double>{25, 490}));
  EXPECT_EQ(found.inputs.at("y").values,
            (std::vector<double>{2 * 2 * 5 + 1, 10 * (2 * 3 * 7 + 1)}));
  EXPECT_EQ(found.inputs.at("unread").values, (std::vector<double>{0, 0}));
  // Of two results at once: the sum.
  const auto both = pass.backward({{graph.output, {shape, {1, 10}}}, {y, {shape, {100, 100}}}});
  EXPECT_EQ(both.inputs.at("y").values, (std::vector<double>{121, 530}));
  EXPECT_THROW(pass.backward({{unread, {{1, 1, 2, 1}, {1, 1}}}}), Error);
  EXPECT_THROW(pass.backward({{unread, {shape, {1}}}}), Error);
}

TEST(Gradients, DoNotDependOnThreads) {
  MobileViTConfig config = mobilevit_variants()[0].second;
  config.num_classes = 5;
  const Graph graph = mobilevit_graph(config);
  const Network network{graph, initialize(graph, 3)};
  const ReferenceInputs inputs = inputs_of(graph, {2, 3, 64, 40});
  const ReferenceTensor targets = one_hot({4, 0}, 5);
  const auto one = reference_loss(network, inputs, targets, 0.1, Mode::train, 1, 7);
  const auto three = reference_loss(network, inputs, targets, 0.1, Mode::train, 3, 7);
  EXPECT_EQ(one.loss, three.loss);
  EXPECT_EQ(one.statistics, three.statistics);
  EXPECT_EQ(one.statistics.empty(), false);
  for (const auto& [name, gradient] : one.gradients.weights) {
    EXPECT_EQ(gradient.values, three.gradients.weights.at(name).values) << name;
  }
}

TEST(CrossEntropy, OfEqualLogitsIsTheLogarithmOfTheirNumber) {
  const ReferenceTensor logits{{2, 4}, {3, 3, 3, 3, -1000, -1000, -1000, -1000}};
  const LogitsLoss found = cross_entropy(logits, one_hot({1, 3}, 4));
  EXPECT_NEAR(found.loss, std::log(4.0), 1e-12);
  const std::vector<double> expected{0.125, -0.375, 0.125, 0.125, 0.125, 0.125, 0.125, -0.375};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(found.gradient.values[i], expected[i], 1e-15);
}

// (1 - s) of the loss at the labels and s of the mean loss over all classes.
TEST(CrossEntropy, IsLinearInItsTargets) {
  const ReferenceTensor logits{{1, 3}, {0.5, -2, 900}};
  const auto loss = [&](const std::vector<double>& target, double smoothing) {
    return cross_entropy(logits, {{1, 3}, target}, smoothing).loss;
  };
  const double first = loss({1, 0, 0}, 0), second = loss({0, 1, 0}, 0), third = loss({0, 0, 1}, 0);
  EXPECT_NEAR(third, 0.0, 1e-12);
  EXPECT_NEAR(loss({1, 0, 0}, 0.3), 0.7 * first + 0.1 * (first + second + third), 1e-10);
  EXPECT_NEAR(loss({0.25, 0.5, 0.75}, 0), 0.25 * first + 0.5 * second + 0.75 * third, 1e-10);
}

TEST(CrossEntropy, GradientIsItsDifference) {
  const ReferenceTensor logits{{2, 3}, {0.5, -2, 1, 0, 0.25, -1}};
  const ReferenceTensor targets{{2, 3}, {0.25, 0.5, 0.75, 1, 0, 0}};
  const LogitsLoss found = cross_entropy(logits, targets, 0.1);
  const double step = 0x1p-17;  // both errors, of order step^2 and 2^-53 / step, are about 2^-34
  for (std::size_t i = 0; i < logits.values.size(); ++i) {
    ReferenceTensor before = logits, after = logits;
    before.values[i] -= step;
    after.values[i] += step;
    const double change =
        cross_entropy(after, targets, 0.1).loss - cross_entropy(before, targets, 0.1).loss;
    EXPECT_NEAR(found.gradient.values[i], change / (2 * step), 0x1p-32);
  }
}

TEST(CrossEntropy, RefusesWhatDoesNotFit) {
  const ReferenceTensor logits{{1, 2}, {0, 0}};
  EXPECT_THROW(cross_entropy(logits, {{2, 1}, {0, 0}}), Error);
  EXPECT_THROW(cross_entropy({{0, 2}, {}}, {{0, 2}, {}}), Error);
  EXPECT_THROW(cross_entropy({{1, 2, 1, 1}, {0, 0}}, logits), Error);
  EXPECT_THROW(cross_entropy(logits, logits, 1.5), Error);
  EXPECT_THROW(cross_entropy(logits, logits, std::nan("")), Error);
  EXPECT_THROW(one_hot({0, 2}, 2), Error);
  EXPECT_THROW(one_hot({-1}, 2), Error);
}

}  // namespace
}  // namespace mobileone
