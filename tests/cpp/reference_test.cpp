// The float64 reference executor, against values worked out by hand and against definitions written
// out a second time as one loop nest.
#include "mobileone/reference/reference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "exact_networks.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/models/initialize.hpp"
#include "mobileone/models/mobileone.hpp"

namespace mobileone {
namespace {

using testing::exact_input;
using testing::exact_network;
using Values = std::vector<double>;

Graph single(const Op& op, std::int64_t channels, std::size_t inputs = 1) {
  Graph graph;
  const NodeId input = graph.add("input", Input{channels}, {});
  graph.output = graph.add("op", op, std::vector<NodeId>(inputs, input));
  return graph;
}

ReferenceTensor run(const Network& network, const ReferenceTensor& x, Mode mode = Mode::eval,
                    RunningStatistics* updated = nullptr, int threads = 1) {
  return reference_forward(network, x, {network.graph.output}, mode, updated, threads)[0];
}

// torch.nn.Conv2d's formula, one loop per index.
double convolution_at(const Conv2d& op, const ReferenceTensor& x, const Values& weight,
                      const Values& bias, std::int64_t n, std::int64_t out, std::int64_t row,
                      std::int64_t column) {
  const std::int64_t inputs = op.in_channels / op.groups;
  const std::int64_t first = out / (op.out_channels / op.groups) * inputs;
  double sum = op.bias ? bias[static_cast<std::size_t>(out)] : 0.0;
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
      for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
        const std::int64_t y = row * op.stride[0] - op.padding[0] + ky * op.dilation[0];
        const std::int64_t z = column * op.stride[1] - op.padding[1] + kx * op.dilation[1];
        if (y < 0 || y >= x.shape[2] || z < 0 || z >= x.shape[3]) continue;
        const auto at = ((n * op.in_channels + first + i) * x.shape[2] + y) * x.shape[3] + z;
        const auto w = ((out * inputs + i) * op.kernel[0] + ky) * op.kernel[1] + kx;
        sum += weight[static_cast<std::size_t>(w)] * x.values[static_cast<std::size_t>(at)];
      }
    }
  }
  return sum;
}

void expect_convolution(const Conv2d& op, const Shape& input) {
  const Network network = exact_network(single(op, op.in_channels));
  const ReferenceTensor x = exact_input(input);
  const ReferenceTensor y = run(network, x, Mode::eval, nullptr, 3);
  const Values weight = network.weight("op.weight").to_doubles();
  const Values bias = op.bias ? network.weight("op.bias").to_doubles() : Values{};
  ASSERT_EQ(y.shape, infer_shapes(network.graph, input).back());
  ASSERT_EQ(y.values.size(), static_cast<std::size_t>(element_count(y.shape)));
  std::size_t at = 0;
  for (std::int64_t n = 0; n < y.shape[0]; ++n) {
    for (std::int64_t c = 0; c < y.shape[1]; ++c) {
      for (std::int64_t row = 0; row < y.shape[2]; ++row) {
        for (std::int64_t column = 0; column < y.shape[3]; ++column, ++at) {
          ASSERT_EQ(y.values[at], convolution_at(op, x, weight, bias, n, c, row, column))
              << "at " << n << ", " << c << ", " << row << ", " << column;
        }
      }
    }
  }
}

TEST(ReferenceConvolution, MatchesTheDefinitionOverRemaindersStridesGroupsAndDilations) {
  for (std::int64_t channels : {1, 3, 5, 17}) {
    for (std::int64_t size : {1, 2, 7, 13}) {
      for (std::int64_t stride : {1, 2}) {
        SCOPED_TRACE(concat(channels, " channels, size ", size, ", stride ", stride));
        const Extent strides{stride, stride};
        expect_convolution({channels, 6, {3, 3}, strides, {1, 1}, {1, 1}, 1, true},
                           {2, channels, size, size + 1});
        expect_convolution({channels, 7, {1, 1}, strides, {0, 0}, {1, 1}, 1, false},
                           {2, channels, size, size});
        expect_convolution({channels, channels, {3, 3}, strides, {1, 1}, {1, 1}, channels, true},
                           {1, channels, size, size});
      }
    }
  }
  expect_convolution({6, 9, {3, 2}, {2, 1}, {2, 1}, {2, 3}, 3, true}, {2, 6, 9, 11});
  expect_convolution({4, 4, {1, 1}, {1, 1}, {2, 0}, {1, 1}, 2, true}, {1, 4, 3, 5});
}

TEST(ReferenceOperators, BatchNormUsesRunningStatisticsInEvalMode) {
  Network network{single(BatchNorm{2, 0.25}, 2), {}};
  network.weights = {{"op.weight", Tensor::from_doubles({2}, {3, -4})},
                     {"op.bias", Tensor::from_doubles({2}, {10, 20})},
                     {"op.running_mean", Tensor::from_doubles({2}, {1, -2})},
                     {"op.running_var", Tensor::from_doubles({2}, {0.75, 3.75})},
                     {"op.num_batches_tracked", Tensor::from_int64(0)}};
  const ReferenceTensor x{{1, 2, 1, 2}, {5, 1, 2, 0}};
  EXPECT_EQ(run(network, x).values, (Values{22, 10, 12, 16}));
}

TEST(ReferenceOperators, BatchNormNormalisesAndUpdatesInTrainMode) {
  Network network{single(BatchNorm{1, 0.75, 0.25}, 1), {}};
  network.weights = {{"op.weight", Tensor::from_doubles({1}, {6})},
                     {"op.bias", Tensor::from_doubles({1}, {1})},
                     {"op.running_mean", Tensor::from_doubles({1}, {8})},
                     {"op.running_var", Tensor::from_doubles({1}, {4})},
                     {"op.num_batches_tracked", Tensor::from_int64(3)}};
  // Mean 4; squared deviations 0, 9, 9, 0: biased variance 18 / 4, unbiased 18 / 3.
  const ReferenceTensor x{{2, 1, 1, 2}, {4, 1, 7, 4}};
  RunningStatistics updated;
  const ReferenceTensor y = run(network, x, Mode::train, &updated);
  const double scale = 6 / std::sqrt(4.5 + 0.75);
  const Values expected{1, 1 - 3 * scale, 1 + 3 * scale, 1};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(y.values[i], expected[i], 1e-14);
  EXPECT_EQ(updated.at("op.running_mean"), (Values{0.75 * 8 + 0.25 * 4}));
  EXPECT_EQ(updated.at("op.running_var"), (Values{0.75 * 4 + 0.25 * 6}));
  EXPECT_EQ(network.weight("op.running_mean").f32()[0], 8.0f);
}

TEST(ReferenceOperators, ElementwiseAndPooling) {
  const ReferenceTensor x{{1, 2, 1, 2}, {-1, 2, 3, 5}};
  EXPECT_EQ(run({single(Activation{ActivationKind::relu}, 2), {}}, x).values, (Values{0, 2, 3, 5}));
  EXPECT_EQ(run({single(Add{}, 2, 3), {}}, x).values, (Values{-3, 6, 9, 15}));
  EXPECT_EQ(run({single(Multiply{}, 2, 2), {}}, x).values, (Values{1, 4, 9, 25}));
  EXPECT_EQ(run({single(GlobalAvgPool{}, 2), {}}, x).values, (Values{0.5, 4}));
  Graph gated;
  const NodeId input = gated.add("input", Input{2}, {});
  const NodeId pool = gated.add("pool", GlobalAvgPool{}, {input});
  gated.output = gated.add("op", Multiply{}, {input, pool});
  EXPECT_EQ(run({gated, {}}, x).values, (Values{-0.5, 1, 12, 20}));
}

TEST(ReferenceOperators, SigmoidNeverOverflowsAndKeepsNaN) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const ReferenceTensor x{{1, 1, 1, 4}, {-800, 0, 800, nan}};
  const Values y = run({single(Activation{ActivationKind::sigmoid}, 1), {}}, x).values;
  EXPECT_EQ(Values(y.begin(), y.begin() + 3), (Values{0, 0.5, 1}));
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_TRUE(std::isnan(run({single(Activation{}, 1), {}}, x).values[3]));
}

TEST(ReferenceOperators, LinearTakesPooledMapsAndBatches) {
  Network network{single(Linear{2, 3, true}, 2), {}};
  network.weights = {{"op.weight", Tensor::from_doubles({3, 2}, {1, 2, 3, 4, 5, 6})},
                     {"op.bias", Tensor::from_doubles({3}, {100, 200, 300})}};
  const ReferenceTensor y = run(network, {{2, 2, 1, 1}, {1, 10, -1, 0}});
  EXPECT_EQ(y.shape, (Shape{2, 3}));
  EXPECT_EQ(y.values, (Values{121, 243, 365, 99, 197, 295}));
}

Network small_mobileone() {
  MobileOneConfig config;
  config.stem_width = 5;
  config.widths = {5, 9};
  config.depths = {2, 1};
  config.num_conv_branches = 2;
  config.num_classes = 3;
  add_squeeze_excitation(config, {0, 1});
  Network network{mobileone_graph(config), {}};
  network.weights = initialize(network.graph, 7);
  return network;
}

TEST(ReferenceForward, IsBitIdenticalForEveryNumberOfThreads) {
  const Network network = small_mobileone();
  ReferenceTensor x = exact_input({3, 3, 37, 41});
  for (double& value : x.values) value = std::sin(value + 0.1);
  std::vector<NodeId> wanted = network.graph.features;
  wanted.push_back(network.graph.output);
  for (Mode mode : {Mode::eval, Mode::train}) {
    const auto serial = reference_forward(network, x, wanted, mode, nullptr, 1);
    for (int threads : {2, 3, 8}) {
      const auto parallel = reference_forward(network, x, wanted, mode, nullptr, threads);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        EXPECT_EQ(serial[i].values, parallel[i].values) << threads << " threads, output " << i;
      }
    }
  }
}

TEST(ReferenceForward, RunsOnlyWhatIsNeededAndMayReturnTheInput) {
  Network network = small_mobileone();
  network.weights.erase("linear.weight");
  const ReferenceTensor x = exact_input({1, 3, 32, 32});
  const NodeId input = network.graph.find("input");
  const auto results = reference_forward(network, x, {network.graph.features[0], input, input});
  EXPECT_EQ(results[0].shape, (Shape{1, 5, 16, 16}));
  EXPECT_EQ(results[1].values, x.values);
  EXPECT_EQ(results[2].values, x.values);
  EXPECT_THROW(reference_forward(network, x, {network.graph.output}), Error);
}

TEST(ReferenceForward, RejectsWhatDoesNotFit) {
  const Network network = small_mobileone();
  const std::vector<NodeId> output{network.graph.output};
  EXPECT_THROW(
      reference_forward(network, ReferenceTensor{{1, 4, 32, 32}, Values(4 * 1024)}, output), Error);
  EXPECT_THROW(reference_forward(network, ReferenceTensor{{1, 3, 32, 32}, Values(5)}, output),
               Error);
  EXPECT_THROW(reference_forward(network, exact_input({1, 3, 32, 32}), {9999}), Error);
  // The stem leaves one pixel of one image: no variance.
  EXPECT_THROW(reference_forward(network, exact_input({1, 3, 2, 2}), output, Mode::train), Error);
  Network misshaped = network;
  misshaped.weights["linear.weight"] = Tensor::from_doubles({3}, {1, 2, 3});
  EXPECT_THROW(reference_forward(misshaped, exact_input({1, 3, 32, 32}), output), Error);
}

TEST(ReferenceForward, TakesAnEmptyBatch) {
  const Network network = small_mobileone();
  const ReferenceTensor y = run(network, {{0, 3, 32, 32}, {}});
  EXPECT_EQ(y.shape, (Shape{0, 3}));
  EXPECT_TRUE(y.values.empty());
}

}  // namespace
}  // namespace mobileone
