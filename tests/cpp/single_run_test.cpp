// Plans that are run once, whose weights are read where they lie, against the float64 reference.
#include "check_op.hpp"
#include "mobileone/models/mobilevit.hpp"

namespace mobileone {
namespace {

using testing_engine::expect_near_reference;
using testing_engine::image;
using testing_engine::small_config;
using testing_engine::stages_and_logits;

std::shared_ptr<const Plan> single_run(const std::shared_ptr<const Network>& network,
                                       const Shape& shape, int threads) {
  const CompileOptions options{threads, stages_and_logits(network->graph), false};
  return compile(network, std::make_shared<WeightCache>(), shape, options, Runs::one);
}

// Statistics of its own in every branch.
std::shared_ptr<const Network> trained(const MobileOneConfig& config) {
  const Graph graph = mobileone_graph(config);
  return std::make_shared<const Network>(Network{graph, testing_op::seeded_weights(graph)});
}

class SingleRunWidths : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(SingleRunWidths, BothFormsMatchTheReferenceAndPackNothing) {
  for (std::int64_t branches : {1, 3}) {
    const auto train_form = trained(small_config(7, GetParam(), branches));
    for (const auto& network :
         {train_form, std::make_shared<const Network>(reparameterize(*train_form))}) {
      for (const Shape& shape :
           {Shape{2, 3, 64, 96}, Shape{1, 3, 33, 47}, Shape{3, 3, 1, 1}, Shape{17, 3, 9, 9}}) {
        std::vector<std::vector<float>> first;
        for (int threads : {1, 3}) {
          const auto plan = single_run(network, shape, threads);
          for (const StepInfo& step : plan->steps()) {
            EXPECT_EQ(step.implementation.find("onednn"), std::string::npos) << step.name;
            EXPECT_EQ(step.implementation.find("fused"), std::string::npos) << step.name;
          }
          EXPECT_TRUE(plan->packed_weights().empty());
          const auto found = testing_engine::run(*plan, image(shape));
          expect_near_reference(*network, shape, stages_and_logits(network->graph), found);
          if (threads == 1) first = found;
          EXPECT_EQ(found, first) << threads << " threads";
          EXPECT_EQ(testing_engine::run(*plan, image(shape)), first) << "a second run";
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Remainders, SingleRunWidths, ::testing::Values(3, 15, 16, 17, 48));

// Dense 3 x 3 convolutions of maps, and activations that follow norms, on sizes that leave a
// remainder of a patch.
TEST(SingleRun, MobileViTMatchesTheReference) {
  MobileViTConfig config;
  config.num_classes = 7;
  config.widths = {16, 20, 32};
  config.depths = {1, 2, 1};
  config.transformer_widths = {0, 0, 24};
  config.ffn_widths = {0, 0, 40};
  config.transformer_depths = {0, 0, 1};
  config.head_width = 72;
  config.heads = 2;
  const Graph graph = mobilevit_graph(config);
  const auto network =
      std::make_shared<const Network>(Network{graph, testing_op::seeded_weights(graph)});
  for (const Shape& shape : {Shape{2, 3, 64, 96}, Shape{1, 3, 33, 47}}) {
    const auto plan = single_run(network, shape, 2);
    for (const StepInfo& step : plan->steps()) {
      const bool convolution = step.kind.find("Conv2d") != std::string::npos ||
                               step.kind.find("BatchNorm") != std::string::npos;
      if (convolution) {
        EXPECT_EQ(step.implementation.find("single run"), 0u) << step.name << ", " << step.kind;
      }
    }
    expect_near_reference(*network, shape, stages_and_logits(graph),
                          testing_engine::run(*plan, image(shape)));
  }
}

// Branches whose results are wanted, or read by others, are no sum of one step.
TEST(SingleRun, WantedBranchesAreWhatTheReferenceSays) {
  const auto network = trained(small_config(16, 32, 2));
  std::vector<NodeId> outputs;
  for (std::size_t id = 1; id < network->graph.nodes().size(); ++id) {
    const Op& op = network->graph.nodes()[id].op;
    const bool part = std::holds_alternative<Conv2d>(op) || std::holds_alternative<BatchNorm>(op);
    if (part && id % 3 == 0) outputs.push_back(static_cast<NodeId>(id));
  }
  const Shape shape{2, 3, 32, 48};
  const auto plan =
      compile(network, std::make_shared<WeightCache>(), shape, {2, outputs, false}, Runs::one);
  expect_near_reference(*network, shape, outputs, testing_engine::run(*plan, image(shape)));
}

TEST(SingleRun, IsNotOfTraining) {
  const auto network = trained(small_config(16, 16, 1));
  const CompileOptions options{1, {network->graph.output}, true};
  EXPECT_THROW(
      compile(network, std::make_shared<WeightCache>(), {1, 3, 32, 32}, options, Runs::one), Error);
}

}  // namespace
}  // namespace mobileone
