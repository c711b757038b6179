// Images of any size: what the graphs allow, from one pixel on, runs on every backend.
#include <gtest/gtest.h>

#include "engine_testing.hpp"
#include "mobileone/models/mobilevit.hpp"
#include "mobileone/models/plain_cnn.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone::testing_engine {
namespace {

std::vector<Graph> graphs() {
  MobileViTConfig mobilevit;
  mobilevit.num_classes = 7;
  mobilevit.widths = {8, 16, 16};
  mobilevit.depths = {1, 1, 1};
  mobilevit.transformer_widths = {0, 0, 24};
  mobilevit.ffn_widths = {0, 0, 48};
  mobilevit.transformer_depths = {0, 0, 1};
  mobilevit.head_width = 32;
  PlainCnnConfig plain;
  plain.num_classes = 7;
  plain.widths = {16, 24};
  plain.strides = {2, 2};
  plain.activation = "dynamic_relu_b";
  return {mobileone_graph(small_config(16, 16, 2)), mobilevit_graph(mobilevit),
          plain_cnn_graph(plain)};
}

class Sizes : public ::testing::TestWithParam<Shape> {};

TEST_P(Sizes, RunOnEveryBackend) {
  for (const Graph& graph : graphs()) {
    const auto train_time = std::make_shared<const Network>(Network{graph, initialize(graph, 2)});
    const auto folded = std::make_shared<const Network>(reparameterize(*train_time));
    for (const auto& network : {train_time, folded}) {
      for (const BackendChoice backend :
           {BackendChoice::automatic, BackendChoice::onednn, BackendChoice::loops}) {
        CompileOptions options;
        options.outputs = stages_and_logits(network->graph);
        options.backend = backend;
        const auto plan = compile(network, std::make_shared<WeightCache>(), GetParam(), options);
        expect_near_reference(*network, GetParam(), options.outputs, run(*plan, image(GetParam())));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Small, Sizes,
                         ::testing::Values(Shape{1, 3, 1, 1}, Shape{2, 3, 1, 9}, Shape{1, 3, 31, 1},
                                           Shape{3, 3, 2, 3}, Shape{1, 3, 17, 5}));

}  // namespace
}  // namespace mobileone::testing_engine
