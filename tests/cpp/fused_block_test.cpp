// Fused blocks of MobileNetV2 and V3, EfficientNet and MobileOne: each is one step that gives the
// reference's results.
#include "fused_block_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_blocks;

struct NamedBlock {
  std::string name;
  BlockOptions options;
};

std::ostream& operator<<(std::ostream& out, const NamedBlock& block) { return out << block.name; }

// In the proportions of the published networks, with channels that fill blocks and that do not.
std::vector<NamedBlock> blocks() {
  const auto relu = ActivationKind::relu, silu = ActivationKind::silu;
  const auto hard_sigmoid = ActivationKind::hard_sigmoid;
  const SqueezeOptions v3{6, relu, hard_sigmoid}, efficient{3, silu, ActivationKind::sigmoid};
  std::vector<NamedBlock> all{
      {"MobileNetV2",
       {.in = 16, .expanded = 48, .out = 16, .expand = relu, .depthwise = relu, .residual = true}},
      {"MobileNetV3",
       {.in = 16,
        .expanded = 40,
        .out = 16,
        .kernel = 5,
        .expand = relu,
        .depthwise = relu,
        .excite = v3,
        .residual = true}},
      {"MobileNetV3Wide",
       {.in = 24,
        .expanded = 72,
        .out = 40,
        .kernel = 5,
        .expand = silu,
        .depthwise = silu,
        .excite = v3}},
      {"MobileNetV3HardSwish",
       {.in = 24,
        .expanded = 56,
        .out = 24,
        .kernel = 5,
        .expand = ActivationKind::hard_swish,
        .depthwise = ActivationKind::hard_swish,
        .excite = v3,
        .residual = true}},
      {"MobileNetV3HardSwishPlain",
       {.in = 20,
        .expanded = 46,
        .out = 20,
        .expand = ActivationKind::hard_swish,
        .depthwise = ActivationKind::hard_swish,
        .residual = true}},
      {"EfficientNet",
       {.in = 20,
        .expanded = 60,
        .out = 20,
        .expand = silu,
        .depthwise = silu,
        .excite = efficient,
        .residual = true,
        .sum_input_first = true}},
      {"EfficientNetFirst", {.in = 32, .out = 16, .depthwise = silu, .excite = efficient}},
      {"WideKernel",
       {.in = 17,
        .expanded = 33,
        .out = 17,
        .kernel = 7,
        .expand = silu,
        .depthwise = relu,
        .residual = true}},
      {"MobileOne", {.in = 32, .out = 64, .depthwise = relu, .last = relu}},
      {"MobileOneExcited",
       {.in = 32,
        .out = 64,
        .depthwise = relu,
        .last = relu,
        .excite = SqueezeOptions{},
        .excite_first = true}},
      {"ExcitedFirstSilu",
       {.in = 16,
        .expanded = 32,
        .out = 24,
        .kernel = 5,
        .expand = silu,
        .depthwise = silu,
        .excite = v3,
        .excite_first = true}},
      {"SeparableResidual",
       {.in = 24, .out = 24, .kernel = 5, .depthwise = silu, .last = relu, .residual = true}},
      {"NoActivation", {.in = 16, .expanded = 16, .out = 48, .biases = false}},
  };
  return all;
}

class FusedBlock : public ::testing::TestWithParam<NamedBlock> {};

TEST_P(FusedBlock, IsOneStepWithTheReferencesResults) {
  for (std::int64_t stride : {1, 2}) {
    BlockOptions options = GetParam().options;
    options.stride = stride;
    options.residual = options.residual && stride == 1;
    Builder builder;
    builder.graph.output = builder.block("block", options, builder.stem(options.in));
    for (const Shape& shape : {Shape{1, 3, 28, 28}, Shape{2, 3, 13, 27}, Shape{1, 3, 41, 9},
                               Shape{3, 3, 2, 6}, Shape{1, 3, 1, 1}}) {
      for (int threads : {1, 2}) {
        SCOPED_TRACE(concat("stride ", stride, ", ", to_string(shape), ", ", threads, " threads"));
        const auto plan = check(builder.graph, {builder.graph.output}, shape, threads);
        EXPECT_EQ(block_steps(*plan), kOneFusedStep);
      }
    }
  }
}

TEST_P(FusedBlock, ThreadsDoNotChangeBits) {
  Builder builder;
  builder.graph.output =
      builder.block("block", GetParam().options, builder.stem(GetParam().options.in));
  const auto network =
      std::make_shared<const Network>(Network{builder.graph, initialize(builder.graph, 3)});
  const Shape shape{2, 3, 30, 26};
  CompileOptions options;
  options.outputs = {builder.graph.output};
  options.algorithm = Algorithm::direct;
  const auto cache = std::make_shared<WeightCache>();
  const auto expected = run(*compile(network, cache, shape, options), image(shape));
  for (int threads : {2, 3, 5}) {
    options.threads = threads;
    EXPECT_EQ(run(*compile(network, cache, shape, options), image(shape)), expected) << threads;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, FusedBlock, ::testing::ValuesIn(blocks()),
                         [](const auto& block) { return block.param.name; });

TEST(FusedBlocks, StrassensAlgorithmInTheProjection) {
  Builder builder;
  BlockOptions options{.in = 32,
                       .expanded = 64,
                       .out = 32,
                       .kernel = 5,
                       .expand = ActivationKind::silu,
                       .depthwise = ActivationKind::silu,
                       .excite = SqueezeOptions{},
                       .residual = true};
  builder.graph.output = builder.block("block", options, builder.stem(32));
  const auto plan =
      check(builder.graph, {builder.graph.output}, {1, 3, 28, 28}, 2, Algorithm::strassen);
  EXPECT_NE(plan->steps()[1].implementation.find("strassen"), std::string::npos);
}

// Blocks of one network follow each other without anything between them.
TEST(FusedBlocks, InARow) {
  Builder builder;
  const auto silu = ActivationKind::silu;
  const SqueezeOptions excite{4, silu, ActivationKind::sigmoid};
  NodeId x = builder.stem(16);
  x = builder.block("block0", {.in = 16, .out = 16, .depthwise = silu, .excite = excite}, x);
  x = builder.block("block1",
                    {.in = 16,
                     .expanded = 48,
                     .out = 24,
                     .stride = 2,
                     .expand = silu,
                     .depthwise = silu,
                     .excite = excite},
                    x);
  x = builder.block("block2",
                    {.in = 24,
                     .expanded = 72,
                     .out = 24,
                     .kernel = 5,
                     .expand = silu,
                     .depthwise = silu,
                     .excite = excite,
                     .residual = true},
                    x);
  builder.graph.output = x;
  const auto plan = check(builder.graph, {x}, {2, 3, 44, 37}, 2);
  EXPECT_EQ(block_steps(*plan), (std::pair<int, int>{3, 3}));
}

// What a block reads need not be a map: others make one of it.
TEST(FusedBlocks, ReadsOtherLayouts) {
  for (std::int64_t expanded : {0, 40}) {
    Builder builder;
    const NodeId input = builder.graph.add("input", Input{20}, {});
    builder.graph.output = builder.block("block",
                                         {.in = 20,
                                          .expanded = expanded,
                                          .out = 20,
                                          .kernel = 7,
                                          .depthwise = ActivationKind::relu,
                                          .residual = true},
                                         input);
    const auto plan = check(builder.graph, {builder.graph.output}, {2, 20, 9, 11}, 2);
    EXPECT_EQ(block_steps(*plan), kOneFusedStep);
  }
}

}  // namespace
}  // namespace mobileone
