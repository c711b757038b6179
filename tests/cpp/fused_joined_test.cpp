// Maps that are joined for a pair of 1x1 convolutions, which reads them where they are; one of them
// may be a pixel spread over the map, as in an ASPP. And what is not taken.
#include <gtest/gtest.h>

#include "fused_block_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_blocks;

constexpr Shape::value_type kSize = 24;
const Shape kImages{2, 3, kSize, kSize};

struct JoinOptions {
  std::vector<std::int64_t> maps{16, 32};
  int pixel_at = -1;  // its place among the parts; -1: there is none
  std::int64_t pixel = 20, hidden = 40, out = 21;
  std::int64_t last_kernel = 1;
  bool spread_first = true;  // right before the concatenation
};

struct Join {
  Builder net;
  NodeId spread = -1, joined = -1, hidden = -1, result = -1;

  explicit Join(const JoinOptions& options) {
    const NodeId x = net.stem(24);
    std::vector<NodeId> parts;
    std::int64_t channels = 0;
    if (!options.spread_first) add_spread(options, x);
    for (std::int64_t map : options.maps) {
      const std::string name = "map" + std::to_string(parts.size());
      parts.push_back(net.activation(name, ActivationKind::relu,
                                     net.conv(name, testing::conv(24, map, 1, 1, 1, true), x)));
      channels += map;
    }
    if (options.pixel_at >= 0) {
      if (options.spread_first) add_spread(options, x);
      parts.insert(parts.begin() + options.pixel_at, spread);
      channels += options.pixel;
    }
    joined = net.graph.add("joined", Concat{1}, parts);
    hidden =
        net.conv("block.project", testing::conv(channels, options.hidden, 1, 1, 1, true), joined);
    hidden = net.activation("block.project", ActivationKind::relu, hidden);
    Conv2d last = testing::conv(options.hidden, options.out, options.last_kernel, 1, 1, true);
    result = net.conv("block.last", last, hidden);
  }

  void add_spread(const JoinOptions& options, NodeId x) {
    NodeId pixel = net.graph.add("pool", GlobalAvgPool{}, {x});
    pixel = net.conv("pixel", testing::conv(24, options.pixel, 1, 1, 1, true), pixel);
    pixel = net.activation("pixel", ActivationKind::relu, pixel);
    spread = net.graph.add("spread", Resize{}, {pixel, x});
  }

  std::shared_ptr<const Plan> check(const std::vector<NodeId>& more = {}, int threads = 1,
                                    Algorithm algorithm = Algorithm::automatic) const {
    std::vector<NodeId> outputs{result};
    outputs.insert(outputs.end(), more.begin(), more.end());
    return testing_blocks::check(net.graph, outputs, kImages, threads, algorithm);
  }
};

// Steps from the concatenation on, and the one before it that makes a bias.
std::vector<std::string> kinds(const Plan& plan) {
  std::vector<std::string> found;
  for (const StepInfo& step : plan.steps()) {
    const bool part = step.name.find("block") != std::string::npos ||
                      step.name.find("joined") != std::string::npos ||
                      step.name.find("spread") != std::string::npos;
    if (part) found.push_back(step.kind);
  }
  return found;
}

using Kinds = std::vector<std::string>;

TEST(FusedJoined, MapsAreReadWhereTheyAre) {
  for (const std::vector<std::int64_t>& maps :
       {std::vector<std::int64_t>{32}, {16, 16}, {48, 16, 32}, {16, 16, 16, 16, 16, 16, 16, 16}}) {
    for (int threads : {1, 2}) {
      JoinOptions options;
      options.maps = maps;
      EXPECT_EQ(kinds(*Join(options).check({}, threads)), (Kinds{"Concat > Conv2d+relu > Conv2d"}));
    }
  }
}

// Wherever the pixel's channels are, of an image's own each.
TEST(FusedJoined, APixelIsABias) {
  for (int at : {0, 1, 2}) {
    for (std::int64_t pixel : {7, 16, 50}) {
      JoinOptions options;
      options.pixel_at = at;
      options.pixel = pixel;
      for (int threads : {1, 2}) {
        const auto plan = Join(options).check({}, threads);
        EXPECT_EQ(kinds(*plan), (Kinds{"Bias", "Resize > Concat > Conv2d+relu > Conv2d"}));
      }
    }
  }
}

TEST(FusedJoined, StrassenInTheSecondProduct) {
  JoinOptions options;
  options.pixel_at = 2;
  options.hidden = 64;
  options.out = 32;
  for (Algorithm algorithm : {Algorithm::strassen, Algorithm::direct}) {
    EXPECT_EQ(kinds(*Join(options).check({}, 2, algorithm)),
              (Kinds{"Bias", "Resize > Concat > Conv2d+relu > Conv2d"}));
  }
}

TEST(FusedJoined, OtherwiseTheyAreJoined) {
  const auto joins = [](const Plan& plan) {
    const Kinds found = kinds(plan);
    return std::ranges::count(found, "Concat") == 1 && std::ranges::count(found, "Bias") == 0;
  };
  JoinOptions broken;  // a map of half a block
  broken.maps = {16, 24, 16};
  EXPECT_TRUE(joins(*Join(broken).check()));
  JoinOptions many;
  many.maps = std::vector<std::int64_t>(9, 16);
  EXPECT_TRUE(joins(*Join(many).check()));
  JoinOptions wide;  // a 3x3 convolution after it
  wide.last_kernel = 3;
  wide.maps = {16, 16, 16};
  EXPECT_TRUE(joins(*Join(wide).check()));
  JoinOptions early;  // not right before the concatenation
  early.pixel_at = 2;
  early.spread_first = false;
  EXPECT_TRUE(joins(*Join(early).check()));
  JoinOptions options;
  options.pixel_at = 2;
  const Join join(options);
  EXPECT_TRUE(joins(*join.check({join.joined})));
  EXPECT_TRUE(joins(*join.check({join.spread})));
  EXPECT_TRUE(joins(*join.check({join.hidden})));
}

}  // namespace
}  // namespace mobileone
