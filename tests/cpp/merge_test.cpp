// merge_branches: which convolutions become one, and that the function stays the same.
#include <gtest/gtest.h>

#include "exact_networks.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone {
namespace {

using testing::batch_norm;
using testing::conv;
using testing::conv_of;
using testing::count_nodes;
using testing::exact_network;
using testing::expect_same_function;
using testing::node_names;

// input -> conv "x" with 12 channels -> branches of x -> "block.sum".
Network branches_of_one_source(const std::vector<Op>& ops) {
  Graph graph;
  const NodeId input = graph.add("input", Input{2}, {});
  const NodeId x = graph.add("x", conv(2, 12, 3), {input});
  std::vector<NodeId> branches;
  for (const Op& op : ops) {
    branches.push_back(graph.add("block.branch" + std::to_string(branches.size()), op, {x}));
  }
  graph.output = graph.add("block.sum", Add{}, branches);
  return exact_network(graph);
}

// Merges and expects a single convolution "block.reparam_conv" to be left after x.
Conv2d merged_into_one(const std::vector<Op>& ops, const Shape& shape = {2, 2, 7, 9}) {
  const Network network = branches_of_one_source(ops);
  const Network merged = reparameterize(network);
  EXPECT_EQ(node_names(merged), (std::vector<std::string>{"input", "x", "block.reparam_conv"}));
  check_weights(merged);
  expect_same_function(network, merged, shape);
  return conv_of(merged, "block.reparam_conv");
}

TEST(MergeBranches, SameKernels) {
  const Conv2d op = merged_into_one({conv(12, 8, 3), conv(12, 8, 3), conv(12, 8, 3, 1, 1, true)});
  EXPECT_EQ(op.kernel, (Extent{3, 3}));
  EXPECT_EQ(op.padding, (Extent{1, 1}));
  EXPECT_TRUE(op.bias);
}

TEST(MergeBranches, PadsSmallerKernels) {
  const Conv2d op = merged_into_one({conv(12, 8, 1), conv(12, 8, 5), conv(12, 8, 3)});
  EXPECT_EQ(op.kernel, (Extent{5, 5}));
  EXPECT_EQ(op.padding, (Extent{2, 2}));
}

TEST(MergeBranches, PadsEachAxisOnItsOwn) {
  const Conv2d wide{12, 8, {1, 5}, {1, 1}, {0, 2}};
  const Conv2d tall{12, 8, {3, 1}, {1, 1}, {1, 0}};
  const Conv2d op = merged_into_one({wide, tall});
  EXPECT_EQ(op.kernel, (Extent{3, 5}));
  EXPECT_EQ(op.padding, (Extent{1, 2}));
}

TEST(MergeBranches, KeepsTheStride) {
  EXPECT_EQ(merged_into_one({conv(12, 8, 3, 2), conv(12, 8, 1, 2)}).stride, (Extent{2, 2}));
  const Conv2d uneven{12, 8, {3, 3}, {2, 1}, {1, 1}};
  const Conv2d point{12, 8, {1, 1}, {2, 1}, {0, 0}};
  EXPECT_EQ(merged_into_one({uneven, point}).stride, (Extent{2, 1}));
}

// Centres aligned although neither branch is padded to "same": 3x3 pad 0 sees what 5x5 pad 1 sees.
TEST(MergeBranches, AlignsCentresOfUnusualPadding) {
  Conv2d three = conv(12, 8, 3), five = conv(12, 8, 5), one = conv(12, 8, 1);
  three.padding = {0, 0};
  five.padding = {1, 1};
  EXPECT_EQ(merged_into_one({three, five}).padding, (Extent{1, 1}));
  one.padding = {1, 1};  // the border of the sum then holds the bias alone
  three.padding = {2, 2};
  EXPECT_EQ(merged_into_one({one, three}).padding, (Extent{2, 2}));
}

TEST(MergeBranches, ExpandsToTheFewestGroups) {
  const auto grouped = [](std::int64_t groups, std::int64_t kernel) {
    return conv(12, 12, kernel, 1, groups);
  };
  EXPECT_EQ(merged_into_one({grouped(12, 3), grouped(12, 1)}).groups, 12);
  EXPECT_EQ(merged_into_one({grouped(4, 3), grouped(6, 3)}).groups, 2);
  EXPECT_EQ(merged_into_one({grouped(4, 1), grouped(12, 3), grouped(2, 3)}).groups, 2);
  EXPECT_EQ(merged_into_one({grouped(3, 3), grouped(4, 1)}).groups, 1);
  EXPECT_EQ(merged_into_one({grouped(1, 1), batch_norm(12), grouped(6, 3)}).groups, 1);
}

TEST(MergeBranches, GroupsWithAChannelMultiplier) {
  EXPECT_EQ(merged_into_one({conv(12, 24, 3, 1, 12), conv(12, 24, 1, 1, 4)}).groups, 4);
  EXPECT_EQ(merged_into_one({conv(12, 6, 3, 1, 6), conv(12, 6, 3, 1, 2)}).groups, 2);
}

TEST(MergeBranches, DilationOfAPointHasNoEffect) {
  Conv2d point = conv(12, 8, 1);
  point.dilation = {3, 3};
  EXPECT_EQ(merged_into_one({conv(12, 8, 3), point}).dilation, (Extent{1, 1}));
}

TEST(MergeBranches, ASumOfOneBranchGoes) { merged_into_one({conv(12, 8, 3)}); }

// RepVGG (Ding et al. 2021, Figure 4): 3x3 + 1x1 + identity, each with batch norm.
NodeId add_repvgg_block(Graph& graph, const std::string& name, NodeId x, std::int64_t in,
                        std::int64_t out, std::int64_t stride, std::int64_t groups) {
  std::vector<NodeId> branches;
  for (std::int64_t kernel : {3, 1}) {
    const std::string branch = name + (kernel == 3 ? ".dense" : ".1x1");
    const NodeId c = graph.add(branch + ".conv", conv(in, out, kernel, stride, groups), {x});
    branches.push_back(graph.add(branch + ".bn", batch_norm(out), {c}));
  }
  if (in == out && stride == 1) branches.push_back(graph.add(name + ".id", batch_norm(out), {x}));
  const NodeId sum = graph.add(name + ".sum", Add{}, branches);
  return graph.add(name + ".relu", Activation{}, {sum});
}

TEST(MergeBranches, FusesRepVGG) {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = add_repvgg_block(graph, "stage1", x, 3, 8, 2, 1);
  graph.features = {x};
  x = add_repvgg_block(graph, "stage2", x, 8, 8, 1, 1);
  graph.output = add_repvgg_block(graph, "stage3", x, 8, 8, 1, 4);
  const Network network = exact_network(graph);
  const Network fused = reparameterize(network);
  EXPECT_EQ(node_names(fused),
            (std::vector<std::string>{"input", "stage1.reparam_conv", "stage1.relu",
                                      "stage2.reparam_conv", "stage2.relu", "stage3.reparam_conv",
                                      "stage3.relu"}));
  EXPECT_EQ(conv_of(fused, "stage2.reparam_conv").groups, 1);
  EXPECT_EQ(conv_of(fused, "stage3.reparam_conv").groups, 4);
  expect_same_function(network, fused, {2, 3, 11, 8});
}

// What must not be merged. Each is compared as a function too.
Network left_alone(const std::vector<Op>& ops, int convolutions,
                   const Shape& shape = {1, 2, 6, 6}) {
  const Network network = branches_of_one_source(ops);
  const Network merged = reparameterize(network);
  EXPECT_EQ(count_nodes<Add>(merged), 1);
  EXPECT_EQ(count_nodes<Conv2d>(merged), convolutions);
  expect_same_function(network, merged, shape);
  return merged;
}

TEST(LeftAlone, DifferentStrides) {
  // On one pixel both strides give one pixel, so that the sum is legal.
  left_alone({conv(12, 8, 3, 1), conv(12, 8, 3, 2)}, 3, {1, 2, 1, 1});
}

TEST(LeftAlone, DifferentDilations) {
  Conv2d dilated = conv(12, 8, 3);
  dilated.dilation = dilated.padding = {2, 2};
  left_alone({conv(12, 8, 3), dilated}, 3);
  // Of three, the two that agree are merged.
  left_alone({conv(12, 8, 3), dilated, conv(12, 8, 1)}, 3);
}

TEST(LeftAlone, CentresThatDoNotCoincide) {
  // Stride 3 on 4 pixels gives 2 outputs whether the first centre is on the image or beside it.
  Conv2d point = conv(12, 8, 1, 3);
  point.padding = {1, 1};
  left_alone({conv(12, 8, 3, 3), point}, 3, {1, 2, 4, 4});
}

TEST(LeftAlone, EvenKernelsHaveNoCentre) {
  const Conv2d two{12, 8, {2, 2}, {2, 2}, {0, 0}};
  left_alone({two, conv(12, 8, 1, 2)}, 3);
}

TEST(LeftAlone, ABranchThatIsReadTwice) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  const NodeId a = graph.add("block.a", conv(4, 4, 3), {input});
  const NodeId b = graph.add("block.b", conv(4, 4, 1), {input});
  const NodeId sum = graph.add("block.sum", Add{}, {a, b});
  graph.output = graph.add("product", Multiply{}, {sum, a});
  const Network network = exact_network(graph);
  const Network merged = reparameterize(network);
  EXPECT_EQ(node_names(merged), node_names(network));
  expect_same_function(network, merged, {1, 4, 5, 5});
}

TEST(LeftAlone, ABranchAddedToItself) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  const NodeId a = graph.add("block.a", conv(4, 4, 3), {input});
  graph.output = graph.add("block.sum", Add{}, {a, a});
  const Network network = exact_network(graph);
  expect_same_function(network, reparameterize(network), {1, 4, 5, 5});
}

TEST(LeftAlone, ABranchThatIsAFeature) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  const NodeId a = graph.add("block.a", conv(4, 4, 3), {input});
  const NodeId b = graph.add("block.b", conv(4, 4, 1), {input});
  graph.output = graph.add("block.sum", Add{}, {a, b});
  graph.features = {b};
  const Network network = exact_network(graph);
  expect_same_function(network, reparameterize(network), {1, 4, 5, 5});
}

TEST(LeftAlone, BranchesOfDifferentSources) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  const NodeId relu = graph.add("relu", Activation{}, {input});
  const NodeId a = graph.add("block.a", conv(4, 4, 3), {input});
  const NodeId b = graph.add("block.b", conv(4, 4, 3), {relu});
  graph.output = graph.add("block.sum", Add{}, {a, b});
  const Network network = exact_network(graph);
  const Network merged = reparameterize(network);
  EXPECT_EQ(node_names(merged), node_names(network));
  expect_same_function(network, merged, {1, 4, 5, 5});
}

TEST(Residual, StaysASum) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  const NodeId a = graph.add("block.a", conv(4, 4, 3), {input});
  const NodeId b = graph.add("block.b", conv(4, 4, 1), {input});
  const NodeId sum = graph.add("block.sum", Add{}, {input, a, b});
  graph.output = graph.add("relu", Activation{}, {sum});
  graph.features = {sum};
  const Network network = exact_network(graph);
  const Network merged = reparameterize(network);
  EXPECT_EQ(count_nodes<Conv2d>(merged), 1);
  EXPECT_EQ(merged.graph.node(merged.graph.find("block.sum")).inputs.size(), 2u);
  expect_same_function(network, merged, {1, 4, 5, 5});
}

TEST(Residual, EachSourceIsMergedOnItsOwn) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  const NodeId relu = graph.add("relu", Activation{}, {input});
  std::vector<NodeId> branches;
  for (const NodeId source : {input, relu, input, relu}) {
    const std::int64_t kernel = branches.size() < 2 ? 3 : 1;
    branches.push_back(
        graph.add("block." + std::to_string(branches.size()), conv(4, 4, kernel), {source}));
  }
  graph.output = graph.add("block.sum", Add{}, branches);
  const Network network = exact_network(graph);
  const Network merged = reparameterize(network);
  EXPECT_EQ(count_nodes<Conv2d>(merged), 2);
  expect_same_function(network, merged, {1, 4, 5, 5});
}

// Names only have to be unique in a graph: two sums may share a module path, or have none.
TEST(MergedNames, StayUnique) {
  for (const std::string prefix : {"", "block."}) {
    Graph graph;
    NodeId x = graph.add("input", Input{4}, {});
    for (const std::string sum : {"first", "second"}) {
      const NodeId a = graph.add(prefix + sum + "_a", conv(4, 4, 3), {x});
      const NodeId b = graph.add(prefix + sum + "_b", conv(4, 4, 1), {x});
      x = graph.add(prefix + sum, Add{}, {a, b});
    }
    graph.output = x;
    const Network network = exact_network(graph);
    const Network merged = reparameterize(network);
    EXPECT_EQ(count_nodes<Conv2d>(merged), 2);
    expect_same_function(network, merged, {1, 4, 5, 5});
  }
}

}  // namespace
}  // namespace mobileone
