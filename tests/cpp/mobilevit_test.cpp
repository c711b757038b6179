// MobileViT's graphs: counts, widths, the two forms, and the engine on a small one.
#include "mobileone/models/mobilevit.hpp"

#include <gtest/gtest.h>

#include "engine_testing.hpp"

namespace mobileone {
namespace {

MobileViTConfig small_mobilevit() {
  MobileViTConfig config;
  config.num_classes = 7;
  config.stem_width = 8;
  config.widths = {8, 12, 20};
  config.depths = {1, 2, 1};
  config.transformer_widths = {0, 18, 24};
  config.ffn_widths = {0, 20, 17};
  config.transformer_depths = {0, 1, 2};
  config.expansion = 2.5;
  config.head_width = 24;
  config.heads = 3;
  config.patch = {4, 2};
  return config;
}

std::vector<std::string> names(const Graph& graph) {
  std::vector<std::string> result;
  for (const Node& node : graph.nodes()) result.push_back(node.name);
  return result;
}

template <typename Kind>
std::int64_t count(const Graph& graph) {
  std::int64_t found = 0;
  for (const Node& node : graph.nodes()) found += std::holds_alternative<Kind>(node.op);
  return found;
}

TEST(MobileViT, VariantsHaveThePublishedSizes) {
  const std::map<std::string, std::array<std::int64_t, 3>> expected{
      {"mobilevit_xxs", {1272024, 329179648, 78184448}},
      {"mobilevit_xs", {2317848, 908635136, 117276672}},
      {"mobilevit_s", {5578632, 1823196160, 177635328}}};
  ASSERT_EQ(mobilevit_variants().size(), expected.size());
  for (const auto& [name, config] : mobilevit_variants()) {
    const Graph graph = mobilevit_graph(config);
    const Shape shape{1, 3, 256, 256};
    EXPECT_EQ(count_parameters(graph), expected.at(name)[0]) << name;
    EXPECT_EQ(count_macs(graph, shape), expected.at(name)[1]) << name;
    EXPECT_EQ(count_attention_macs(graph, shape), expected.at(name)[2]) << name;
    EXPECT_EQ(graph.features.size(), 6u);
    EXPECT_EQ(parameters(graph).size(), 311u);
  }
}

TEST(MobileViT, ExpandsToWholeEights) {
  EXPECT_EQ(expanded_width(16, 2), 32);
  EXPECT_EQ(expanded_width(12, 3), 40);  // 36 is half-way: upwards
  EXPECT_EQ(expanded_width(5, 5), 24);   // 25
  EXPECT_EQ(expanded_width(11, 1), 16);  // 8 would be less than 90 % of 11
  EXPECT_EQ(expanded_width(1, 1), 8);    // no less than 8
  EXPECT_EQ(expanded_width(9, 0.5), 8);  // 4.5 rounds to 5
}

TEST(MobileViT, InferenceFormIsWhatFoldingLeaves) {
  MobileViTConfig config = small_mobilevit();
  config.dropout = config.ffn_dropout = config.classifier_dropout = 0.1;
  const Graph train_time = mobilevit_graph(config);
  EXPECT_EQ(count<Dropout>(train_time), 3 * 3 + 1);
  EXPECT_FALSE(is_inference_form(train_time));
  config.inference = true;
  const Graph inference = mobilevit_graph(config);
  EXPECT_EQ(count<Dropout>(inference), 0);
  EXPECT_EQ(count<BatchNorm>(inference), 0);
  EXPECT_TRUE(is_inference_form(inference));
  const Network folded = reparameterize({train_time, initialize(train_time, 1)});
  EXPECT_EQ(names(folded.graph), names(inference));
  EXPECT_NO_THROW(check_weights(folded));
  EXPECT_EQ(names(reparameterize(folded).graph), names(inference));
}

TEST(MobileViT, DropoutAloneIsTrainTimeForm) {
  Graph graph;
  const NodeId input = graph.add("input", Input{4}, {});
  graph.output = graph.add("drop", Dropout{0.5}, {input});
  graph.features = {graph.output};
  EXPECT_FALSE(is_inference_form(graph));
  const Network folded = fold_batch_norm({graph, {}});
  EXPECT_EQ(names(folded.graph), std::vector<std::string>{"input"});
  EXPECT_EQ(folded.graph.output, 0);
}

TEST(MobileViT, BothFormsMatchTheReferenceOnEveryBackend) {
  using namespace testing_engine;
  const Graph graph = mobilevit_graph(small_mobilevit());
  const auto train_time = std::make_shared<const Network>(Network{graph, initialize(graph, 2)});
  const auto folded = std::make_shared<const Network>(reparameterize(*train_time));
  for (const Shape& shape : {Shape{1, 3, 32, 48}, Shape{2, 3, 37, 45}}) {
    for (const auto& network : {train_time, folded}) {
      for (const bool fused : {false, true}) {
        CompileOptions options;
        options.outputs = stages_and_logits(network->graph);
        if (!fused) options.backend = BackendChoice::onednn;
        const auto plan = compile(network, std::make_shared<WeightCache>(), shape, options);
        expect_near_reference(*network, shape, options.outputs, run(*plan, image(shape)));
      }
    }
  }
}

TEST(MobileViT, NamesTheBadField) {
  const auto message = [](const auto& change) {
    MobileViTConfig config = small_mobilevit();
    change(config);
    try {
      mobilevit_graph(config);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message([](auto& c) { c.heads = 4; }),
            "[mobilevit] transformer_widths[1] is 18; expected a multiple of the 4 heads");
  EXPECT_EQ(message([](auto& c) { c.depths.pop_back(); }),
            "[mobilevit] depths has 2 layers; expected 3, as widths");
  EXPECT_EQ(message([](auto& c) { c.patch[1] = 0; }),
            "[mobilevit] patch[1] is 0; expected at least 1");
  EXPECT_EQ(message([](auto& c) { c.ffn_dropout = -0.1; }),
            "[mobilevit] ffn_dropout is -0.1; expected 0 <= p < 1");
  EXPECT_EQ(message([](auto& c) { c.transformer_depths[0] = 1; }),
            "[mobilevit] transformer_depths[0] is 1 and ffn_widths[0] 0; expected 0 where "
            "transformer_widths is 0");
}

}  // namespace
}  // namespace mobileone
