// The generic backend's steps between feature maps and tokens: copies to the last bit, resizing
// against the float64 reference, operators that have nothing to do.
#include <gtest/gtest.h>

#include "engine_testing.hpp"
#include "exact_networks.hpp"
#include "mobileone/graph/dropout.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

CompileOptions generic(std::vector<NodeId> outputs, int threads = 1) {
  CompileOptions options;
  options.threads = threads;
  options.outputs = std::move(outputs);
  options.backend = BackendChoice::onednn;
  return options;
}

// The input, and a 1x1 convolution of it whose result is in the layout that convolutions like.
struct MapGraph {
  Graph graph;
  NodeId map;

  MapGraph(std::int64_t in, std::int64_t channels, const std::string& name = "conv") {
    const NodeId input = graph.add("input", Input{in}, {});
    map = add(input, in, channels, name);
  }
  NodeId add(NodeId input, std::int64_t in, std::int64_t channels, const std::string& name) {
    return graph.add(name, testing::conv(in, channels, 1), {input});
  }
  std::shared_ptr<const Network> network(NodeId output) {
    graph.output = output;
    return std::make_shared<const Network>(Network{graph, initialize(graph, 3)});
  }
};

std::shared_ptr<const Plan> compile(const std::shared_ptr<const Network>& network,
                                    const Shape& shape, const CompileOptions& options) {
  return mobileone::compile(network, std::make_shared<WeightCache>(), shape, options);
}

std::size_t count_steps(const Plan& plan, const std::string& kind) {
  std::size_t count = 0;
  for (const StepInfo& step : plan.steps()) count += step.kind == kind;
  return count;
}

struct Patches {
  Shape map;
  Extent patch;
};

class Unfolding : public ::testing::TestWithParam<Patches> {};

// token (b h w + position, n) is pixel (row, column), whatever the layouts.
std::vector<float> unfolded(const std::vector<float>& map, const Shape& shape, Extent patch) {
  const std::int64_t positions = patch[0] * patch[1], columns = shape[3] / patch[1];
  const std::int64_t count = shape[2] * shape[3] / positions;
  std::vector<float> tokens;
  for (std::int64_t sequence = 0; sequence < shape[0] * positions; ++sequence) {
    const std::int64_t image = sequence / positions, position = sequence % positions;
    for (std::int64_t n = 0; n < count; ++n) {
      const std::int64_t row = n / columns * patch[0] + position / patch[1];
      const std::int64_t column = n % columns * patch[1] + position % patch[1];
      for (std::int64_t c = 0; c < shape[1]; ++c) {
        const auto at = ((image * shape[1] + c) * shape[2] + row) * shape[3] + column;
        tokens.push_back(map[static_cast<std::size_t>(at)]);
      }
    }
  }
  return tokens;
}

TEST_P(Unfolding, CopiesEveryPixelAndFoldPutsItBack) {
  const Shape& shape = GetParam().map;
  for (int threads : {1, 3}) {
    MapGraph maps(2, shape[1]);
    const NodeId tokens = maps.graph.add("unfold", Unfold{GetParam().patch}, {maps.map});
    const NodeId fold = maps.graph.add("fold", Fold{GetParam().patch}, {tokens, maps.map});
    const auto network = maps.network(fold);
    const Shape input{shape[0], 2, shape[2], shape[3]};
    const auto plan = compile(network, input, generic({maps.map, tokens, fold}, threads));
    const auto found = run(*plan, image(input));
    EXPECT_EQ(found[1], unfolded(found[0], shape, GetParam().patch));
    EXPECT_EQ(found[2], found[0]);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Unfolding,
    ::testing::Values(Patches{{1, 16, 4, 4}, {2, 2}}, Patches{{2, 48, 6, 10}, {2, 2}},
                      Patches{{3, 17, 4, 6}, {2, 2}}, Patches{{1, 1, 2, 2}, {2, 2}},
                      Patches{{2, 32, 8, 6}, {4, 2}}, Patches{{1, 33, 6, 5}, {3, 5}},
                      Patches{{2, 16, 3, 7}, {1, 1}}, Patches{{1, 16, 1, 1}, {1, 1}},
                      Patches{{2, 3, 5, 4}, {5, 4}}));

// Straight from the caller's image, and back into the caller's memory.
TEST(UnfoldStep, OfTheInputItself) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId tokens = graph.add("unfold", Unfold{{2, 2}}, {input});
  graph.output = graph.add("fold", Fold{{2, 2}}, {tokens, input});
  const auto network = std::make_shared<const Network>(Network{graph, {}});
  const Shape shape{2, 3, 6, 4};
  const auto found = run(*compile(network, shape, generic({tokens, graph.output})), image(shape));
  EXPECT_EQ(found[0], unfolded(image(shape), shape, {2, 2}));
  EXPECT_EQ(found[1], image(shape));
}

class ResizeChannels : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(ResizeChannels, MatchesTheReferenceUpAndBack) {
  for (const Shape& size :
       {Shape{1, 7, 7}, Shape{2, 5, 8}, Shape{3, 1, 1}, Shape{1, 1, 6}, Shape{1, 12, 17}}) {
    for (const Extent multiple : {Extent{2, 2}, Extent{4, 3}}) {
      MapGraph maps(3, GetParam());
      const NodeId resized = maps.graph.add("resize", Resize{multiple}, {maps.map});
      const NodeId back = maps.graph.add("back", Resize{}, {resized, maps.map});
      const auto network = maps.network(back);
      const Shape input{size[0], 3, size[1], size[2]};
      for (int threads : {1, 3}) {
        const auto plan = compile(network, input, generic({resized, back}, threads));
        expect_near_reference(*network, input, {resized, back}, run(*plan, image(input)));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Remainders, ResizeChannels, ::testing::Values(1, 3, 15, 16, 17, 48));

// Interpolation of a constant is the constant: weights add up to one.
TEST(ResizeStep, KeepsConstants) {
  Graph graph;
  const NodeId input = graph.add("input", Input{1}, {});
  graph.output = graph.add("resize", Resize{{64, 96}}, {input});
  const auto network = std::make_shared<const Network>(Network{graph, {}});
  const auto plan = compile(network, {1, 1, 7, 13}, generic({graph.output}));
  const auto found = run(*plan, std::vector<float>(7 * 13, 0.75f));
  for (float value : found[0]) {
    EXPECT_NEAR(value, 0.75f, 4 * 0x1p-24);  // four roundings of values below one
  }
}

TEST(ResizeStep, OfTheSameSizeCostsNothing) {
  MapGraph maps(3, 16);
  const NodeId resized = maps.graph.add("resize", Resize{{2, 2}}, {maps.map});
  const NodeId back = maps.graph.add("back", Resize{}, {resized, maps.map});
  const auto network = maps.network(back);
  const auto even = compile(network, {1, 3, 6, 8}, generic({back}));
  EXPECT_EQ(count_steps(*even, "Resize"), 0u);
  const auto odd = compile(network, {1, 3, 7, 8}, generic({back}));
  EXPECT_EQ(count_steps(*odd, "Resize"), 2u);
  const auto all = compile(network, {1, 3, 6, 8}, generic({maps.map, resized, back}));
  const auto found = run(*all, image({1, 3, 6, 8}));
  EXPECT_EQ(found[1], found[0]);
  EXPECT_EQ(found[2], found[0]);
}

class ConcatParts : public ::testing::TestWithParam<std::vector<std::int64_t>> {};

TEST_P(ConcatParts, LieOneAfterTheOther) {
  const Shape shape{2, 2, 5, 3};
  MapGraph maps(2, GetParam()[0], "part0");
  std::vector<NodeId> parts{maps.map};
  for (std::size_t i = 1; i < GetParam().size(); ++i) {
    parts.push_back(maps.add(0, 2, GetParam()[i], concat("part", i)));
  }
  std::vector<NodeId> outputs = parts;
  outputs.push_back(maps.graph.add("concat", Concat{}, parts));
  const auto found =
      run(*compile(maps.network(outputs.back()), shape, generic(outputs)), image(shape));
  std::vector<float> expected;
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t part = 0; part < parts.size(); ++part) {
      const auto half = static_cast<std::ptrdiff_t>(found[part].size() / 2);
      const auto begin = found[part].begin() + static_cast<std::ptrdiff_t>(i) * half;
      expected.insert(expected.end(), begin, begin + half);
    }
  }
  EXPECT_EQ(found.back(), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Widths, ConcatParts,
    ::testing::Values(std::vector<std::int64_t>{16, 16}, std::vector<std::int64_t>{48, 48},
                      std::vector<std::int64_t>{16, 8}, std::vector<std::int64_t>{8, 24},
                      std::vector<std::int64_t>{3, 5}, std::vector<std::int64_t>{1, 16, 33},
                      std::vector<std::int64_t>{17}));

TEST(DropoutStep, KeepsWhatTheMaskSays) {
  MapGraph maps(2, 16);
  const NodeId on_map = maps.graph.add("on_map", Dropout{0.25}, {maps.map});
  const NodeId tokens = maps.graph.add("unfold", Unfold{{1, 1}}, {maps.map});
  const NodeId on_tokens = maps.graph.add("on_tokens", Dropout{0.5}, {tokens});
  const auto network = maps.network(on_tokens);
  const Shape shape{3, 2, 8, 9};
  for (int threads : {1, 3}) {
    for (std::uint64_t seed : {0u, 7u}) {
      CompileOptions options = generic({maps.map, on_map, tokens, on_tokens}, threads);
      options.training = true;
      const auto plan = compile(network, shape, options);
      const auto found = run(*plan, image(shape), network.get(), seed);
      for (std::size_t result : {1u, 3u}) {
        const double p = result == 1 ? 0.25 : 0.5;
        const DropoutMask mask(seed, result == 1 ? "on_map" : "on_tokens", p);
        const auto scale = static_cast<float>(1.0 / (1.0 - p));
        for (std::size_t i = 0; i < found[result].size(); ++i) {
          EXPECT_EQ(found[result][i], mask.keeps(i) ? scale * found[result - 1][i] : 0.f);
        }
      }
    }
  }
}

TEST(DropoutStep, IsTheIdentityOutsideOfTraining) {
  MapGraph maps(2, 16);
  const NodeId dropout = maps.graph.add("dropout", Dropout{0.5}, {maps.map});
  const auto network = maps.network(dropout);
  const Shape shape{1, 2, 4, 4};
  const auto plan = compile(network, shape, generic({maps.map, dropout}));
  EXPECT_EQ(count_steps(*plan, "Dropout"), 0u);
  const auto found = run(*plan, image(shape));
  EXPECT_EQ(found[1], found[0]);
}

// As many as the probability says: the number kept of n is binomial, and six standard deviations
// are exceeded once in 10^9.
TEST(DropoutMask, KeepsTheRightShare) {
  constexpr double kCount = 100000;
  for (double p : {0.1, 0.5, 0.9}) {
    const DropoutMask mask(1, "classifier.dropout", p);
    double kept = 0;
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(kCount); ++i) kept += mask.keeps(i);
    EXPECT_NEAR(kept, (1 - p) * kCount, 6 * std::sqrt(p * (1 - p) * kCount));
  }
}

}  // namespace
}  // namespace mobileone
