// The generic backend's steps on token sequences against the float64 reference, over sizes that
// leave remainders in vectors, heads, and tiles of attention.
#include <gtest/gtest.h>

#include <random>

#include "engine_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

// Uniform weights of the variance 1 / (last dimension), so that signals keep their scale.
Weights uniform_weights(const Graph& graph) {
  std::mt19937 random(5);
  Weights weights;
  for (const Parameter& parameter : parameters(graph)) {
    std::vector<double> values(static_cast<std::size_t>(element_count(parameter.shape)));
    const double fan = parameter.shape.size() > 1 ? static_cast<double>(parameter.shape[1]) : 1.0;
    for (double& value : values) {
      value = (static_cast<double>(random()) / 2147483648.0 - 1.0) * std::sqrt(3.0 / fan);
    }
    weights.emplace(parameter.name, Tensor::from_doubles(parameter.shape, values));
  }
  return weights;
}

// [batch, channels, rows, columns] as sequences of rows * columns tokens.
struct TokenGraph {
  Graph graph;
  NodeId tokens;

  explicit TokenGraph(std::int64_t channels) {
    const NodeId input = graph.add("input", Input{channels}, {});
    tokens = graph.add("unfold", Unfold{{1, 1}}, {input});
  }
};

std::vector<StepInfo> expect_near_reference(Graph graph, NodeId output, const Shape& shape,
                                            int threads = 1) {
  graph.output = output;
  const auto network = std::make_shared<const Network>(Network{graph, uniform_weights(graph)});
  CompileOptions options;
  options.threads = threads;
  options.outputs = {output};
  options.backend = BackendChoice::onednn;
  const auto plan = compile(network, std::make_shared<WeightCache>(), shape, options);
  const auto found = run(*plan, image(shape));
  testing_engine::expect_near_reference(*network, shape, {output}, found);
  EXPECT_EQ(run(*plan, image(shape)), found);
  return plan->steps();
}

class Channels : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(Channels, LayerNormOverTheLastDimension) {
  for (const Shape& size : {Shape{1, 1, 1}, Shape{2, 3, 7}, Shape{3, 5, 5}}) {
    TokenGraph tokens(GetParam());
    const NodeId norm = tokens.graph.add("norm", LayerNorm{GetParam(), 1e-5}, {tokens.tokens});
    expect_near_reference(tokens.graph, norm, {size[0], GetParam(), size[1], size[2]});
  }
}

TEST_P(Channels, LinearOnEveryToken) {
  for (std::int64_t out : {1, 16, 33}) {
    TokenGraph tokens(GetParam());
    Graph& graph = tokens.graph;
    const NodeId linear = graph.add("linear", Linear{GetParam(), out, true}, {tokens.tokens});
    const NodeId silu = graph.add("silu", Activation{ActivationKind::silu}, {linear});
    const NodeId last = graph.add("last", Linear{out, 5, false}, {silu});
    const auto steps = expect_near_reference(graph, last, {2, GetParam(), 3, 7});
    EXPECT_EQ(std::count_if(steps.begin(), steps.end(),
                            [](const StepInfo& step) { return step.kind == "Linear+silu"; }),
              1);
  }
}

TEST_P(Channels, LinearOnAPooledMap) {
  Graph graph;
  const NodeId input = graph.add("input", Input{GetParam()}, {});
  const NodeId pool = graph.add("pool", GlobalAvgPool{}, {input});
  const NodeId linear = graph.add("linear", Linear{GetParam(), 5, true}, {pool});
  expect_near_reference(graph, linear, {3, GetParam(), 4, 5});
}

TEST_P(Channels, ResidualSums) {
  TokenGraph tokens(GetParam());
  const NodeId norm = tokens.graph.add("norm", LayerNorm{GetParam(), 1e-5}, {tokens.tokens});
  const NodeId sum = tokens.graph.add("sum", Add{}, {tokens.tokens, norm});
  expect_near_reference(tokens.graph, sum, {2, GetParam(), 3, 5});
}

INSTANTIATE_TEST_SUITE_P(Remainders, Channels, ::testing::Values(1, 3, 15, 16, 17, 48, 97));

struct Heads {
  std::int64_t count, size;
};

class AttentionHeads : public ::testing::TestWithParam<Heads> {};

NodeId add_attention(TokenGraph& tokens, const Heads& heads, std::int64_t channels) {
  const std::int64_t width = heads.count * heads.size;
  const NodeId packed = tokens.graph.add("qkv", Linear{channels, 3 * width, true}, {tokens.tokens});
  return tokens.graph.add("attention", Attention{heads.count}, {packed});
}

TEST_P(AttentionHeads, MatchTheReference) {
  for (const Shape& size : {Shape{1, 1, 1}, Shape{2, 1, 2}, Shape{1, 3, 5}, Shape{3, 4, 4},
                            Shape{1, 1, 17}, Shape{2, 7, 7}}) {
    for (int threads : {1, 3}) {
      TokenGraph tokens(8);
      const NodeId attention = add_attention(tokens, GetParam(), 8);
      expect_near_reference(tokens.graph, attention, {size[0], 8, size[1], size[2]}, threads);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, AttentionHeads,
                         ::testing::Values(Heads{1, 1}, Heads{3, 1}, Heads{1, 7}, Heads{4, 16},
                                           Heads{4, 20}, Heads{2, 36}, Heads{5, 33}));

// Scores of 300 tokens take two equal tiles, those of 307 two that differ.
TEST(AttentionTiles, MatchTheReference) {
  for (std::int64_t tokens_per_sequence : {300, 307}) {
    for (int threads : {1, 2, 5}) {
      TokenGraph tokens(6);
      const NodeId attention = add_attention(tokens, {2, 9}, 6);
      expect_near_reference(tokens.graph, attention, {2, 6, 1, tokens_per_sequence}, threads);
    }
  }
}

// Scores of a million pairs need a few hundred kilobytes per thread, not megabytes.
TEST(AttentionTiles, MemoryGrowsWithTokensNotWithTheirSquare) {
  TokenGraph tokens(4);
  const NodeId attention = add_attention(tokens, {1, 4}, 4);
  tokens.graph.output = attention;
  const auto network =
      std::make_shared<const Network>(Network{tokens.graph, uniform_weights(tokens.graph)});
  const Shape shape{1, 4, 32, 64};  // 2048 tokens: 16 MiB of scores
  const auto plan =
      compile(network, std::make_shared<WeightCache>(), shape, {1, {attention}, false});
  EXPECT_LE(plan->memory().scratch, 1u << 20);
}

// A large score decides alone; without the maximum's subtraction its exponential would overflow.
TEST(Attention, LargeScoresStayFinite) {
  TokenGraph tokens(3);
  const NodeId attention = tokens.graph.add("attention", Attention{1}, {tokens.tokens});
  tokens.graph.output = attention;
  const auto network = std::make_shared<const Network>(Network{tokens.graph, {}});
  const auto plan =
      compile(network, std::make_shared<WeightCache>(), {1, 3, 1, 4}, {1, {attention}, false});
  // Queries, keys, values of four tokens: the last key is by far the nearest to all queries.
  const std::vector<float> packed{100, 200, 300, 400, 1, 2, 3, 50, 7, 8, 9, 10};
  EXPECT_EQ(run(*plan, packed)[0], std::vector<float>(4, 10.f));
}

}  // namespace
}  // namespace mobileone
