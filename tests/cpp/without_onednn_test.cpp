// Plans whose steps are fused kernels and loops never ask for oneDNN: here there is none.
#include <gtest/gtest.h>

#include "engine_testing.hpp"
#include "mobileone/backends/onednn/library.hpp"

namespace mobileone {

namespace onednn {

const Library& library() { throw StateError("[onednn] this program has none"); }

}  // namespace onednn

namespace {

using namespace testing_engine;

std::shared_ptr<const Plan> compile(const std::shared_ptr<const Network>& network,
                                    const Shape& shape, const std::vector<NodeId>& outputs,
                                    BackendChoice backend) {
  CompileOptions options;
  options.threads = 2;
  options.outputs = outputs;
  options.backend = backend;
  return mobileone::compile(network, std::make_shared<WeightCache>(), shape, options);
}

// Loops on what fused steps made, in both directions.
TEST(WithoutOnednn, FusedStepsAndLoops) {
  MobileOneConfig config = small_config(16, 32, 1);
  config.se_widths.clear();  // one on a map with several readers is a matter of oneDNN's
  Network network = reparameterize(*seeded(config));
  Graph& graph = network.graph;
  const NodeId map = graph.features.back();
  const NodeId resized = graph.add("resized", Resize{{5, 3}}, {map});
  const NodeId tokens = graph.add("tokens", Unfold{{5, 3}}, {resized});
  const NodeId folded = graph.add("folded", Fold{{5, 3}}, {tokens, resized});
  const NodeId back = graph.add("back", Resize{}, {folded, map});
  const std::vector<NodeId> outputs{resized, tokens, back, graph.output};
  const auto shared = std::make_shared<const Network>(network);
  const Shape shape{2, 3, 37, 45};
  const auto plan = compile(shared, shape, outputs, BackendChoice::automatic);
  std::size_t fused = 0, loops = 0;
  for (const StepInfo& step : plan->steps()) {
    fused += step.implementation.starts_with("fused");
    loops += step.implementation.starts_with("loops");
  }
  EXPECT_GT(fused, 3u);
  EXPECT_EQ(loops, 4u);
  expect_near_reference(network, shape, outputs, run(*plan, image(shape)));
}

TEST(WithoutOnednn, LoopsRunTheTrainTimeForm) {
  const auto network = seeded(small_config(17, 33, 2));
  const Shape shape{2, 3, 33, 40};
  const std::vector<NodeId> outputs = stages_and_logits(network->graph);
  const auto plan = compile(network, shape, outputs, BackendChoice::loops);
  expect_near_reference(*network, shape, outputs, run(*plan, image(shape)));
}

// The test's own assumption: what oneDNN covers does ask for it.
TEST(WithoutOnednn, TheTrainTimeFormAsksForIt) {
  const auto network = seeded(small_config(16, 32, 1));
  EXPECT_THROW(compile(network, {1, 3, 32, 32}, {network->graph.output}, BackendChoice::automatic),
               StateError);
}

}  // namespace
}  // namespace mobileone
