// What is fused between blocks: depthwise convolutions alone, dense ones of stride 2, sums,
// squeeze-and-excitation of a map, maxima, channels that move; and what is not taken.
#include <gtest/gtest.h>

#include "fused_block_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_blocks;

constexpr Shape::value_type kSize = 24;
const Shape kImages{2, 3, kSize, kSize};

// Steps that are not fused, but for the first, which makes the stem's map, and reorders of outputs.
std::string unfused(const Plan& plan) {
  std::string kinds;
  for (const StepInfo& step : plan.steps()) {
    if (step.implementation.rfind("fused", 0) != 0 && step.kind != "Reorder") {
      kinds += step.kind + " " + step.name + "; ";
    }
  }
  return kinds;
}

void check_fused(const Graph& graph, NodeId output, int threads = 2) {
  const auto plan = check(graph, {output}, kImages, threads);
  EXPECT_EQ(unfused(*plan), "");
}

Conv2d depthwise(std::int64_t channels, std::int64_t kernel, std::int64_t stride,
                 std::int64_t multiplier = 1) {
  Conv2d op = testing::conv(channels, channels * multiplier, kernel, stride, channels, true);
  op.padding = {kernel / 2, kernel / 2};
  return op;
}

// RepViT's: a depthwise convolution with squeeze-and-excitation, read by a 1x1 pair and by the sum.
TEST(FusedMaps, TokenMixerThenChannelMixer) {
  for (bool excites : {false, true}) {
    Builder net;
    NodeId x = net.stem(20);
    x = net.conv("mix", depthwise(20, 3, 1), x);
    if (excites) x = net.squeeze("se", {}, 20, x);
    NodeId y = net.conv("wide", testing::conv(20, 40, 1, 1, 1, true), x);
    y = net.activation("wide", ActivationKind::gelu, y);
    y = net.conv("narrow", testing::conv(40, 20, 1, 1, 1, true), y);
    check_fused(net.graph, net.graph.add("sum", Add{}, {x, y}));
  }
}

// The same where the map between the 1x1 convolutions is large: they are one step, unless another
// map than the source is added, which one convolution takes along, or somebody reads what is
// between.
TEST(FusedMaps, LargeChannelMixers) {
  const Shape images{1, 3, 112, 112};
  for (const char* kind : {"own", "none", "other", "read"}) {
    SCOPED_TRACE(kind);
    const bool read = kind == std::string("read");
    Builder net;
    const bool alone = kind == std::string("none");
    const NodeId other = net.stem(20);
    const NodeId x = alone ? other : net.conv("mix", depthwise(20, 3, 1), other);
    NodeId wide = net.conv("block.wide", testing::conv(20, 50, 1, 1, 1, true), x);
    wide = net.activation("block.wide", ActivationKind::gelu, wide);
    NodeId y = net.conv("block.narrow", testing::conv(50, 20, 1, 1, 1, true), wide);
    if (!alone) {
      y = net.graph.add("block.sum", Add{}, {kind == std::string("other") ? other : x, y});
    }
    net.graph.output = y;
    const auto plan = check(net.graph, read ? std::vector{y, wide} : std::vector{y}, images, 2);
    EXPECT_EQ(unfused(*plan), "");
    const bool together = alone || kind == std::string("own");
    EXPECT_EQ(block_steps(*plan).first, together ? 1 : 2);
    EXPECT_EQ(block_steps(*check(net.graph, {y}, kImages, 1)).first, 2);
  }
}

// FastViT's: a large kernel before the 1x1 pair, another one of stride 2 that doubles channels.
TEST(FusedMaps, LargeKernelsAndMultipliers) {
  for (std::int64_t kernel : {3, 5, 7, 9, 11}) {
    Builder net;
    NodeId x = net.stem(24);
    x = net.conv("mix", depthwise(24, 3, 1), x);
    NodeId y = net.conv("large", depthwise(24, kernel, 1), x);
    y = net.activation("wide", ActivationKind::gelu,
                       net.conv("wide", testing::conv(24, 72, 1, 1, 1, true), y));
    y = net.conv("narrow", testing::conv(72, 24, 1, 1, 1, true), y);
    x = net.graph.add("sum", Add{}, {x, y});
    x = net.activation("down", ActivationKind::gelu,
                       net.conv("down", depthwise(24, kernel, 2, 2), x));
    check_fused(net.graph, x);
  }
}

TEST(FusedMaps, DenseConvolutionsOfStrideTwo) {
  Builder net;
  NodeId x = net.stem(20);
  x = net.activation("a", ActivationKind::relu,
                     net.conv("a", testing::conv(20, 32, 3, 2, 1, true), x));
  x = net.activation("b", ActivationKind::relu,
                     net.conv("b", testing::conv(32, 48, 3, 1, 1, true), x));
  Conv2d one = testing::conv(48, 24, 1, 2, 1, true);
  one.padding = {0, 0};
  check_fused(net.graph, net.conv("c", one, x));
}

std::string implementations(const Plan& plan) {
  std::string all;
  for (const StepInfo& step : plan.steps()) all += step.implementation + "; ";
  return all;
}

// 3x3 by Winograd's algorithm, with a residual and on any number of threads, or directly.
TEST(FusedMaps, DenseConvolutionsByWinograd) {
  Builder net;
  const NodeId x = net.stem(32);
  NodeId y = net.activation("a", ActivationKind::relu,
                            net.conv("a", testing::conv(32, 48, 3, 1, 1, true), x));
  y = net.conv("b", testing::conv(48, 32, 3, 1, 1, true), y);
  y = net.activation("sum", ActivationKind::silu, net.graph.add("sum", Add{}, {y, x}));
  for (int threads : {1, 3}) {
    const auto plan = check(net.graph, {y}, kImages, threads, Algorithm::strassen);
    EXPECT_EQ(unfused(*plan), "");
    EXPECT_NE(implementations(*plan).find("winograd"), std::string::npos);
  }
  const auto direct = check(net.graph, {y}, kImages, 1, Algorithm::direct);
  EXPECT_EQ(implementations(*direct).find("winograd"), std::string::npos);
}

// The same of stride 2, where the result has even sides.
TEST(FusedMaps, StridedConvolutionsByWinograd) {
  for (Shape::value_type size : {kSize, kSize - 4}) {
    Builder net;
    const NodeId x = net.stem(32);
    const NodeId y = net.activation("a", ActivationKind::gelu,
                                    net.conv("a", testing::conv(32, 48, 3, 2, 1, true), x));
    for (int threads : {1, 3}) {
      const auto plan = check(net.graph, {y}, {2, 3, size, size}, threads, Algorithm::strassen);
      EXPECT_EQ(unfused(*plan), "");
      EXPECT_EQ(implementations(*plan).find("winograd") != std::string::npos, size == kSize);
    }
  }
}

// A dilated 3x3 kernel by phases where a floor is all that follows, else by rows.
TEST(FusedMaps, DilatedConvolutionsByPhases) {
  for (ActivationKind activation : {ActivationKind::relu, ActivationKind::silu}) {
    Builder net;
    Conv2d dilated = testing::conv(32, 48, 3, 1, 1, true);
    dilated.dilation = dilated.padding = {5, 5};
    const NodeId x = net.stem(32);
    const NodeId y = net.activation("a", activation, net.conv("a", dilated, x));
    for (int threads : {1, 3}) {
      const auto plan = check(net.graph, {y}, kImages, threads, Algorithm::strassen);
      EXPECT_EQ(unfused(*plan), "");
      EXPECT_EQ(implementations(*plan).find("phases") != std::string::npos,
                activation == ActivationKind::relu);
    }
    const auto direct = check(net.graph, {y}, kImages, 1, Algorithm::direct);
    EXPECT_EQ(implementations(*direct).find("phases"), std::string::npos);
  }
}

// 1x1 of many channels by Strassen's algorithm, unless weights differ too much in size.
TEST(FusedMaps, WideOneByOnesMayTakeStrassen) {
  Builder net;
  const NodeId x = net.stem(64);
  const NodeId y = net.conv("a", testing::conv(64, 96, 1, 1, 1, true), x);
  check(net.graph, {y}, kImages, 1, Algorithm::strassen);
  check_fused(net.graph, y);
}

TEST(FusedMaps, DepthwiseWithAResidual) {
  Builder net;
  const NodeId x = net.stem(40);
  const NodeId y = net.conv("a", depthwise(40, 5, 1), x);
  const NodeId sum = net.graph.add("sum", Add{}, {y, x});
  check_fused(net.graph, net.activation("sum", ActivationKind::silu, sum));
}

TEST(FusedMaps, SumsActivationsAndMaxima) {
  Builder net;
  const NodeId x = net.stem(20);
  const NodeId y = net.graph.add("max", MaxPool{{3, 3}, {1, 1}, {1, 1}}, {x});
  NodeId sum = net.graph.add("sum", Add{}, {x, y});
  sum = net.activation("sum", ActivationKind::hard_swish, sum);
  const NodeId own = net.graph.add("own", Activation{ActivationKind::gelu}, {y});
  check_fused(net.graph, net.graph.add("both", Add{}, {sum, own}));
}

// MobileNetV3's and V4's head: a 1x1 convolution of the pooled map before the classifier. One whose
// channels fill no block is left to others.
TEST(FusedMaps, ConvolutionOfPooledFeatures) {
  for (const std::int64_t channels : {16, 80, 240}) {
    for (ActivationKind kind : {ActivationKind::relu, ActivationKind::hard_swish}) {
      Builder net;
      NodeId x = net.graph.add("pool", GlobalAvgPool{}, {net.stem(20)});
      x = net.activation("head", kind,
                         net.conv("head", testing::conv(20, channels, 1, 1, 1, true), x));
      x = net.conv("more", testing::conv(channels, 48, 1, 1, 1, true), x);
      check_fused(net.graph, net.graph.add("classifier", Linear{48, 5, true}, {x}));
    }
  }
  Builder net;
  const NodeId x = net.graph.add("pool", GlobalAvgPool{}, {net.stem(20)});
  const NodeId head = net.conv("head", testing::conv(20, 24, 1, 1, 1, true), x);
  const auto plan = check(net.graph, {head}, kImages, 2);
  EXPECT_NE(unfused(*plan), "");
}

// ShuffleNetV2's unit, by Reshape, Transpose and Reshape.
TEST(FusedMaps, ShuffledChannels) {
  Builder net;
  const std::int64_t half = 29, side = kSize / 2;
  const NodeId x = net.stem(2 * half);
  const auto slice = [&](const char* name, NodeId from, std::int64_t begin) {
    return net.graph.add(name, Slice{1, begin, begin + half, 1}, {from});
  };
  const NodeId kept = slice("kept", x, 0);
  NodeId y = slice("worked", x, half);
  y = net.conv("one", testing::conv(half, half, 1, 1, 1, true), y);
  y = net.conv("mix", depthwise(half, 3, 1), y);
  y = net.conv("two", testing::conv(half, half, 1, 1, 1, true), y);
  NodeId joined = net.graph.add("joined", Concat{1}, {kept, y});
  joined = net.graph.add("split", Reshape{{-1, 2, half, side, side}}, {joined});
  joined = net.graph.add("swapped", Transpose{{0, 2, 1, 3, 4}}, {joined});
  joined = net.graph.add("merged", Reshape{{-1, 2 * half, side, side}}, {joined});
  const NodeId low = slice("low", joined, 0), high = slice("high", joined, half);
  check_fused(net.graph, net.graph.add("sum", Add{}, {low, high}));
}

TEST(FusedMaps, PartsOfUnequalSizeJoined) {
  Builder net;
  const NodeId x = net.stem(24);
  const NodeId a = net.graph.add("a", Slice{1, 0, 7, 1}, {x});
  const NodeId b = net.graph.add("b", Slice{1, 7, 24, 2}, {x});
  const NodeId wide = net.conv("wide", testing::conv(24, 33, 1, 1, 1, true), x);
  const NodeId joined = net.graph.add("joined", Concat{1}, {a, wide, b});
  check_fused(net.graph, joined);
}

// An image's mean beside its map, as in an ASPP: few channels become a map to be joined with many.
TEST(FusedMaps, AFewChannelsThatAreNoMapAreJoined) {
  for (std::int64_t few : {8, 48}) {
    Builder net;
    const NodeId x = net.stem(32);
    NodeId pooled = net.graph.add("pooled", GlobalAvgPool{}, {x});
    pooled = net.conv("mean", testing::conv(32, few, 1, 1, 1, true), pooled);
    const NodeId spread = net.graph.add("spread", Resize{}, {pooled, x});
    const NodeId other = net.conv("other", testing::conv(32, 32, 1, 1, 1, true), x);
    const NodeId joined = net.graph.add("joined", Concat{1}, {x, other, spread});
    const NodeId y = net.conv("project", testing::conv(64 + few, 24, 1, 1, 1, true), joined);
    const auto plan = check(net.graph, {y}, kImages, 1);
    EXPECT_EQ(implementations(*plan).find("channels") != std::string::npos, few == 8);
  }
}

// Channels that become pixels are no channels that move.
TEST(FusedMaps, OtherReshapesAreLeft) {
  Builder net;
  const NodeId x = net.stem(16);
  NodeId y = net.graph.add("tokens", Reshape{{-1, 4, 4 * kSize / 2, kSize / 2}}, {x});
  y = net.graph.add("turned", Transpose{{0, 2, 1, 3}}, {y});
  y = net.graph.add("back", Reshape{{-1, 16, kSize / 2, kSize / 2}}, {y});
  const auto plan = check(net.graph, {y}, kImages, 1);
  EXPECT_NE(unfused(*plan), "");
}

TEST(FusedMaps, EveryIntermediateIsAnOutput) {
  Builder net;
  const NodeId x = net.stem(20);
  const NodeId mixed = net.conv("mix", depthwise(20, 3, 1), x);
  const NodeId excited = net.squeeze("se", {}, 20, mixed);
  const NodeId sum = net.graph.add("sum", Add{}, {x, excited});
  const NodeId part = net.graph.add("part", Slice{1, 3, 17, 1}, {sum});
  check(net.graph, {x, mixed, excited, sum, part}, kImages, 2);
}

}  // namespace
}  // namespace mobileone
