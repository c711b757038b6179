// Which graphs become fused blocks; what the kernels do not know is left to others, and either way
// the results are the reference's.
#include <functional>

#include "fused_block_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_blocks;

struct FactorOptions {
  SqueezeOptions squeeze = {};
  MaybeActivation activation = ActivationKind::relu;  // after the SE
};

// Two blocks with an SE between them, whose factor the second one may apply.
std::shared_ptr<const Plan> check_factor(const FactorOptions& factor, const BlockOptions& second) {
  Builder builder;
  NodeId x = builder.block("block0", {.in = 16, .out = 24, .depthwise = ActivationKind::relu},
                           builder.stem(16));
  x = builder.activation("gate", factor.activation, builder.squeeze("gate", factor.squeeze, 24, x));
  builder.graph.output = builder.block("block1", second, x);
  return check(builder.graph, {builder.graph.output}, {2, 3, 22, 19}, 2);
}

TEST(FusedBlocks, AFactorIsAppliedByTheNextBlock) {
  const BlockOptions second{.in = 24, .out = 16, .kernel = 5};
  for (ActivationKind gate : {ActivationKind::sigmoid, ActivationKind::hard_sigmoid}) {
    FactorOptions factor;
    factor.squeeze.gate = gate;
    EXPECT_EQ(check_factor(factor, second)->steps().size(), 4u);  // stem, two blocks, reorder
  }
  EXPECT_EQ(check_factor({.activation = std::nullopt}, second)->steps().size(), 4u);
}

TEST(FusedBlocks, AFactorThatDoesNotCommuteIsLeftToOthers) {
  const BlockOptions second{.in = 24, .out = 16};
  EXPECT_GT(check_factor({.activation = ActivationKind::silu}, second)->steps().size(), 4u);
  // Of either sign: relu(s x) is not s relu(x).
  EXPECT_GT(check_factor({{4, ActivationKind::relu, std::nullopt}}, second)->steps().size(), 4u);
  // The sum would need the scaled source, too.
  const BlockOptions residual{.in = 24, .out = 24, .residual = true};
  EXPECT_GT(check_factor({}, residual)->steps().size(), 4u);
}

TEST(FusedBlocks, OtherShapesAreLeftToOthers) {
  const BlockOptions base{.in = 16,
                          .expanded = 24,
                          .out = 16,
                          .expand = ActivationKind::relu,
                          .depthwise = ActivationKind::relu};
  const std::vector<std::function<void(BlockOptions&)>> changes{
      [](BlockOptions& o) { o.kernel = 9; },
      [](BlockOptions& o) { o.kernel = 1; },
      [](BlockOptions& o) { o.dilation = 4; },
      [](BlockOptions& o) { o.stride = 3; },
      [](BlockOptions& o) { o.depthwise = ActivationKind::sigmoid; },  // padding would not be zero
      [](BlockOptions& o) { o.excite = SqueezeOptions{40}; },          // expands instead
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    BlockOptions options = base;
    changes[i](options);
    Builder builder;
    builder.graph.output = builder.block("block", options, builder.stem(16));
    EXPECT_GT(block_steps(*check(builder.graph, {builder.graph.output}, {1, 3, 26, 26}, 2)).first,
              1);
  }
}

// 3x3 with zeros between its weights.
TEST(FusedBlocks, ADilatedKernelIsAWiderOne) {
  for (std::int64_t dilation : {2, 3}) {
    for (std::int64_t expanded : {0, 24}) {
      for (std::int64_t stride : {1, 2}) {
        SCOPED_TRACE(concat("dilation ", dilation, " expanded ", expanded, " stride ", stride));
        Builder builder;
        builder.graph.output = builder.block("block",
                                             {.in = 16,
                                              .expanded = expanded,
                                              .out = 20,
                                              .stride = stride,
                                              .dilation = dilation,
                                              .depthwise = ActivationKind::relu},
                                             builder.stem(16));
        const auto plan = check(builder.graph, {builder.graph.output}, {2, 3, 22, 18}, 1);
        EXPECT_EQ(block_steps(*plan).first, 1);
      }
    }
  }
}

// A stride that leaves the only pixel where it is: the kernels' residual is of stride 1.
TEST(FusedBlocks, AResidualOfStrideTwoIsNotPartOfTheBlock) {
  Builder builder;
  builder.graph.output =
      builder.block("block", {.in = 16, .expanded = 32, .out = 16, .stride = 2, .residual = true},
                    builder.stem(16));
  const auto plan = check(builder.graph, {builder.graph.output}, {2, 3, 2, 2}, 1);
  EXPECT_EQ(block_steps(*plan).first, 2);
}

// Whoever wants a value from inside a block, or reads one, gets it.
TEST(FusedBlocks, LeavesBlocksWhoseInsideIsRead) {
  const BlockOptions options{.in = 16,
                             .expanded = 24,
                             .out = 16,
                             .expand = ActivationKind::relu,
                             .depthwise = ActivationKind::relu,
                             .excite = SqueezeOptions{},
                             .residual = true};
  for (const char* inside : {"block.expand.act", "block.depthwise.act", "block.se.pool",
                             "block.se.reduce.act", "block.se.scale", "block.project"}) {
    SCOPED_TRACE(inside);
    Builder builder;
    builder.graph.output = builder.block("block", options, builder.stem(16));
    const NodeId wanted = builder.graph.find(inside);
    const auto plan = check(builder.graph, {wanted, builder.graph.output}, {1, 3, 18, 14}, 1);
    EXPECT_GT(block_steps(*plan).first, 1);
    Builder other;
    const NodeId output = other.block("block", options, other.stem(16));
    const NodeId pooled = other.graph.add("reader", GlobalAvgPool{}, {other.graph.find(inside)});
    other.graph.output = output;
    EXPECT_GT(block_steps(*check(other.graph, {output, pooled}, {1, 3, 18, 14}, 1)).first, 1);
  }
}

}  // namespace
}  // namespace mobileone
