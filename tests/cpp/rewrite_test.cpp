// fold_batch_norm and reparameterize. Branch merging has its own file, merge_test.cpp.
#include "mobileone/rewrite/rewrite.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "exact_networks.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/models/initialize.hpp"
#include "mobileone/models/mobileone.hpp"

namespace mobileone {
namespace {

using testing::batch_norm;
using testing::conv;
using testing::count_nodes;
using testing::exact_network;
using testing::expect_same_function;
using testing::node_names;
using Names = std::vector<std::string>;
using Values = std::vector<double>;

// input -> conv -> bn, two channels, 1x1: small enough to fold by hand.
Network conv_bn(bool bias) {
  Graph graph;
  const NodeId input = graph.add("input", Input{1}, {});
  const NodeId c = graph.add("conv", conv(1, 2, 1, 1, 1, bias), {input});
  graph.output = graph.add("bn", BatchNorm{2, 0.25}, {c});
  Network network{std::move(graph), {}};
  const auto set = [&](const char* name, const Values& values, const Shape& shape) {
    network.weights[name] = Tensor::from_doubles(shape, values);
  };
  set("conv.weight", {3, -5}, {2, 1, 1, 1});
  if (bias) set("conv.bias", {1, 2}, {2});
  set("bn.weight", {4, 6}, {2});
  set("bn.bias", {10, 20}, {2});
  set("bn.running_mean", {7, -1}, {2});
  set("bn.running_var", {3.75, 0.75}, {2});  // + eps = 4 and 1, so the gains are 2 and 6
  network.weights["bn.num_batches_tracked"] = Tensor::from_int64(3);
  return network;
}

TEST(FoldBatchNorm, ByHandWithoutBias) {
  const Network folded = fold_batch_norm(conv_bn(false));
  EXPECT_EQ(node_names(folded), (Names{"input", "conv"}));
  EXPECT_EQ(folded.weight("conv.weight").to_doubles(), (Values{6, -30}));
  EXPECT_EQ(folded.weight("conv.bias").to_doubles(), (Values{10 - 7 * 2, 20 + 1 * 6}));
  EXPECT_EQ(folded.weight("conv.weight").dtype(), DType::float64);
  EXPECT_EQ(folded.weights.size(), 2u);
  EXPECT_EQ(folded.graph.output, folded.graph.find("conv"));
}

TEST(FoldBatchNorm, ByHandWithBias) {
  const Network folded = fold_batch_norm(conv_bn(true));
  EXPECT_EQ(folded.weight("conv.weight").to_doubles(), (Values{6, -30}));
  EXPECT_EQ(folded.weight("conv.bias").to_doubles(), (Values{10 + (1 - 7) * 2, 20 + (2 + 1) * 6}));
}

TEST(FoldBatchNorm, ALoneOneBecomesADepthwiseConvolution) {
  Graph graph;
  const NodeId input = graph.add("input", Input{6}, {});
  graph.output = graph.add("bn", batch_norm(6), {input});
  const Network network = exact_network(graph);
  const Network folded = fold_batch_norm(network);
  const Conv2d& op = testing::conv_of(folded, "bn");
  EXPECT_TRUE(op.depthwise());
  EXPECT_TRUE(op.bias);
  EXPECT_EQ(op.kernel, (Extent{1, 1}));
  expect_same_function(network, folded, {2, 6, 3, 5});
}

TEST(FoldBatchNorm, AConvolutionReadTwiceKeepsItsWeights) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId c = graph.add("conv", conv(3, 4, 3), {input});
  const NodeId norm = graph.add("bn", batch_norm(4), {c});
  graph.output = graph.add("sum", Add{}, {c, norm});
  const Network network = exact_network(graph);
  const Network folded = fold_batch_norm(network);
  EXPECT_EQ(folded.weight("conv.weight").data(), network.weight("conv.weight").data());
  EXPECT_EQ(count_nodes<BatchNorm>(folded), 0);
  EXPECT_EQ(count_nodes<Conv2d>(folded), 2);
  expect_same_function(network, folded, {1, 3, 5, 4});
}

TEST(FoldBatchNorm, TwoReadersThatAreBothBatchNorms) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId c = graph.add("conv", conv(3, 4, 3), {input});
  const NodeId one = graph.add("bn1", batch_norm(4), {c});
  const NodeId two = graph.add("bn2", batch_norm(4), {c});
  graph.output = graph.add("sum", Add{}, {one, two});
  const Network network = exact_network(graph);
  expect_same_function(network, fold_batch_norm(network), {1, 3, 5, 4});
  expect_same_function(network, reparameterize(network), {1, 3, 5, 4});
}

TEST(FoldBatchNorm, AConvolutionThatIsAFeatureStays) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId c = graph.add("conv", conv(3, 4, 3), {input});
  graph.output = graph.add("bn", batch_norm(4), {c});
  graph.features = {c};
  const Network network = exact_network(graph);
  expect_same_function(network, fold_batch_norm(network), {1, 3, 5, 4});
}

TEST(FoldBatchNorm, AChainFoldsTheFirstAndKeepsTheOrder) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId c = graph.add("conv", conv(3, 4, 3, 2, 1, true), {input});
  const NodeId one = graph.add("bn1", batch_norm(4), {c});
  graph.output = graph.add("bn2", batch_norm(4), {one});
  const Network network = exact_network(graph);
  const Network folded = fold_batch_norm(network);
  EXPECT_EQ(node_names(folded), (Names{"input", "conv", "bn2"}));
  expect_same_function(network, folded, {2, 3, 7, 6});
}

// MixNet's: kernels of several sizes, each of some channels, and one norm of them all.
Graph joined_convolutions(bool another_reader, std::int64_t axis = 1) {
  Graph graph;
  const NodeId input = graph.add("input", Input{6}, {});
  const NodeId low = graph.add("low", conv(6, 5, 3, 1, 1, false), {input});
  const NodeId high = graph.add("high", conv(6, axis == 1 ? 3 : 5, 1, 1, 1, true), {input});
  const NodeId joined = graph.add("joined", Concat{axis}, {low, high});
  graph.output = graph.add("bn", batch_norm(axis == 1 ? 8 : 5), {joined});
  if (another_reader) {
    graph.further_outputs.push_back({"other", graph.add("other", GlobalAvgPool{}, {high})});
  }
  return graph;
}

TEST(FoldBatchNorm, OneOfJoinedConvolutionsGoesIntoEach) {
  const Network network = exact_network(joined_convolutions(false));
  const Network folded = fold_batch_norm(network);
  EXPECT_EQ(node_names(folded), (Names{"input", "low", "high", "joined"}));
  EXPECT_EQ(folded.graph.output, folded.graph.find("joined"));
  expect_same_function(network, folded, {2, 6, 5, 7});
}

TEST(FoldBatchNorm, OneOfJoinedConvolutionsStaysWhereTheyAreReadTwiceOrJoinedByRows) {
  for (const Graph& graph : {joined_convolutions(true), joined_convolutions(false, 2)}) {
    const Network network = exact_network(graph);
    const Network folded = fold_batch_norm(network);
    EXPECT_GE(folded.graph.find("bn"), 0);
    expect_same_function(network, folded, {2, 6, 5, 7});
  }
}

TEST(FoldBatchNorm, NotThroughAnActivation) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId c = graph.add("conv", conv(3, 4, 3), {input});
  const NodeId relu = graph.add("relu", Activation{}, {c});
  graph.output = graph.add("bn", batch_norm(4), {relu});
  const Network network = exact_network(graph);
  const Network folded = fold_batch_norm(network);
  EXPECT_EQ(node_names(folded), (Names{"input", "conv", "relu", "bn"}));
  expect_same_function(network, folded, {1, 3, 5, 5});
}

TEST(FoldBatchNorm, AMissingStatisticIsNamed) {
  Network network = conv_bn(false);
  network.weights.erase("bn.running_var");
  try {
    fold_batch_norm(network);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[network] weight bn.running_var is missing");
  }
}

MobileOneConfig small_config() {
  return {3, 5, 6, {6, 9}, {2, 2}, 3, {{"stage2.2", 2}, {"stage2.3", 3}}};
}

TEST(Reparameterize, GivesTheInferenceFormOfTheConfig) {
  MobileOneConfig config = small_config();
  const Network network = exact_network(mobileone_graph(config));
  const Network fused = reparameterize(network);
  config.inference = true;
  const Network expected = exact_network(mobileone_graph(config));
  EXPECT_EQ(node_names(fused), node_names(expected));
  for (const Parameter& parameter : parameters(expected.graph)) {
    EXPECT_EQ(fused.weight(parameter.name).shape(), parameter.shape) << parameter.name;
    EXPECT_EQ(fused.weight(parameter.name).dtype(), DType::float32) << parameter.name;
  }
  EXPECT_EQ(fused.weights.size(), expected.weights.size());
}

// Stem and a depthwise block keep exact values; deeper sums would outgrow 53 bits.
TEST(Reparameterize, IsTheSameFunction) {
  const Network network = exact_network(mobileone_graph({3, 5, 6, {9}, {1}, 3, {}}));
  expect_same_function(network, reparameterize(network), {2, 3, 9, 12});
}

using Snapshot = std::map<std::string, std::pair<const void*, Values>>;

Snapshot snapshot(const Network& network) {
  Snapshot result;
  for (const auto& [name, tensor] : network.weights) {
    result[name] = {tensor.data(), tensor.to_doubles()};
  }
  return result;
}

TEST(Reparameterize, NeverMutatesItsInput) {
  const Network network = exact_network(mobileone_graph(small_config()));
  const Snapshot before = snapshot(network);
  const Names names = node_names(network);
  reparameterize(network);
  EXPECT_EQ(snapshot(network), before);
  EXPECT_EQ(node_names(network), names);
}

TEST(Reparameterize, IsIdempotent) {
  const Network once = reparameterize(exact_network(mobileone_graph(small_config())));
  const Network twice = reparameterize(once);
  EXPECT_EQ(node_names(once), node_names(twice));
  EXPECT_EQ(snapshot(once), snapshot(twice));  // the same storage, too
}

// A weight of the fused pointwise block of stage 1 with all three kinds of branch, summed here in
// long double from the formulas of section 3.3, must be the nearest float.
TEST(Reparameterize, RoundsOnceAtTheEnd) {
  const Graph graph = mobileone_graph({3, 5, 16, {16}, {1}, 4, {}});
  Network network{graph, initialize(graph, 5)};
  std::mt19937 random(9);
  for (auto& [name, tensor] : network.weights) {
    if (tensor.dtype() == DType::int64 || tensor.shape().size() != 1) continue;
    Values values = tensor.to_doubles();
    const bool positive = name.ends_with("running_var");
    for (double& value : values) value = testing::draw(random, positive ? 1 : -999, 999) / 700.0;
    tensor = Tensor::from_doubles(tensor.shape(), values);
  }
  const Network fused = reparameterize(network);
  const std::string block = "stage1.1.";
  std::vector<long double> weight(16 * 16), bias(16);
  const auto add = [&](const std::string& bn, const Values& kernel) {
    for (std::size_t out = 0; out < 16; ++out) {
      const auto at = [&](const char* part) {
        return static_cast<long double>(network.weight(bn + part).f32()[out]);
      };
      const long double gain = at(".weight") / std::sqrt(at(".running_var") + 1e-5L);
      for (std::size_t in = 0; in < 16; ++in) weight[out * 16 + in] += gain * kernel[out * 16 + in];
      bias[out] += at(".bias") - at(".running_mean") * gain;
    }
  };
  Values unit(16 * 16);
  for (std::size_t i = 0; i < 16; ++i) unit[i * 17] = 1;
  add(block + "rbr_skip", unit);
  for (int k = 0; k < 4; ++k) {
    const std::string branch = block + "rbr_conv." + std::to_string(k);
    add(branch + ".bn", network.weight(branch + ".conv.weight").to_doubles());
  }
  const Tensor& found = fused.weight(block + "reparam_conv.weight");
  for (std::size_t i = 0; i < weight.size(); ++i) {
    EXPECT_EQ(found.f32()[i], static_cast<float>(weight[i])) << i;
  }
  const Tensor& found_bias = fused.weight(block + "reparam_conv.bias");
  for (std::size_t i = 0; i < bias.size(); ++i) {
    EXPECT_EQ(found_bias.f32()[i], static_cast<float>(bias[i])) << i;
  }
}

TEST(FoldScales, AChainIsOneConvolution) {
  Graph graph;
  NodeId last = graph.add("input", Input{3}, {});
  last = graph.add("conv", conv(3, 4, 3, 1, 1, true), {last});
  last = graph.add("scale", conv(4, 4, 1, 1, 4, true), {last});
  graph.output = graph.add("scale2", conv(4, 4, 1, 1, 4, false), {last});
  const Network network = exact_network(std::move(graph));
  const Network folded = fold_and_merge(network);
  EXPECT_EQ(node_names(folded), (Names{"input", "conv"}));
  expect_same_function(network, folded, {2, 3, 5, 4});
}

TEST(FoldScales, WhatIsReadTwiceStays) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId first = graph.add("conv", conv(3, 4, 1, 1, 1, true), {input});
  const NodeId scale = graph.add("scale", conv(4, 4, 1, 1, 4, true), {first});
  graph.output = graph.add("gate", Multiply{}, {first, scale});
  const Network network = exact_network(std::move(graph));
  EXPECT_EQ(node_names(fold_scales(network)), node_names(network));
}

// A norm after a sum, which is itself a branch (Chu et al. 2022; layer scales).
TEST(FoldAndMerge, ASumIsABranchOfAnother) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  const NodeId a = graph.add("a", conv(4, 4, 3, 1, 1, true), {input});
  const NodeId b = graph.add("b", conv(4, 4, 1, 1, 4, false), {input});
  const NodeId inner = graph.add("inner", Add{}, {a, b});
  const NodeId scaled = graph.add("norm", batch_norm(4), {inner});
  const NodeId identity = graph.add("identity", batch_norm(4), {input});
  graph.output = graph.add("outer", Add{}, {identity, scaled});
  const Network network = exact_network(std::move(graph));
  const Network merged = fold_and_merge(network);
  EXPECT_EQ(node_names(merged), (Names{"input", "outer"}));
  expect_same_function(network, merged, {2, 4, 5, 4});
}

TEST(RoundWeights, TouchesOnlyFloat64) {
  Network network = exact_network(mobileone_graph(small_config()));
  network.weights["linear.bias"] =
      Tensor::from_doubles({5}, {0.1, 1 + 0x1p-24, 2, 3, 4}, DType::float64);
  const Network rounded = round_weights(network);
  EXPECT_EQ(rounded.weight("linear.bias").f32()[0], 0.1f);
  EXPECT_EQ(rounded.weight("linear.bias").f32()[1], 1.0f);
  EXPECT_EQ(rounded.weight("linear.weight").data(), network.weight("linear.weight").data());
  EXPECT_EQ(network.weight("linear.bias").dtype(), DType::float64);
}

}  // namespace
}  // namespace mobileone
