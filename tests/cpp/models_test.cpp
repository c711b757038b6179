// MobileOne's graphs: names, shapes and counts of every variant, custom configs, initial weights.
#include "mobileone/models/mobileone.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "mobileone/base/error.hpp"
#include "mobileone/models/initialize.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone {
namespace {

// Counts of the authors' code, made by instantiating it: trainable parameters, MACs at 224 x 224
// (in millions, to the decimals shown), state-dict entries.
struct Counts {
  std::string name;
  std::int64_t parameters, fused_parameters, buffers;
  double macs_millions, fused_macs_millions;
  std::size_t keys, fused_keys;
};

const std::vector<Counts> kCounts{
    {"mobileone_s0", 5293272, 2078504, 88192, 1051.9, 275.11, 1323, 88},
    {"mobileone_s1", 4825192, 4764840, 68352, 830.1, 825.06, 562, 88},
    {"mobileone_s2", 7884648, 7808168, 87040, 1304.0, 1298.43, 562, 88},
    {"mobileone_s3", 10170600, 10078312, 104704, 1902.1, 1895.79, 562, 88},
    {"mobileone_s4", 14951248, 14838352, 127744, 2986.8, 2979.27, 610, 136},
    {"mobileone_mu0", 919016, 558760, 22176, 175.9, 68.91, 655, 56},
    {"mobileone_mu1", 1449656, 969704, 32192, 264.1, 139.03, 659, 72},
    {"mobileone_mu2", 2042872, 1262632, 41664, 414.4, 214.09, 659, 72},
};

MobileOneConfig config_of(const std::string& name) {
  for (const auto& [variant, config] : mobileone_variants()) {
    if (variant == name) return config;
  }
  throw Error("no variant " + name);
}

Graph graph_of(const std::string& name, bool inference) {
  MobileOneConfig config = config_of(name);
  config.inference = inference;
  return mobileone_graph(config);
}

// A value printed with `decimals` decimals agrees when it is the nearest such number.
void expect_rounds_to(std::int64_t macs, double millions, int decimals, const std::string& name) {
  const double unit = std::pow(10.0, -decimals);
  EXPECT_LE(std::abs(static_cast<double>(macs) * 1e-6 - millions), 0.5 * unit * (1 + 1e-9)) << name;
}

std::int64_t buffer_elements(const Graph& graph) {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters(graph)) {
    if (!parameter.trainable && parameter.dtype == DType::float32) {
      count += element_count(parameter.shape);
    }
  }
  return count;
}

TEST(Variants, AreTheEightPublishedOnes) {
  ASSERT_EQ(mobileone_variants().size(), kCounts.size());
  for (std::size_t i = 0; i < kCounts.size(); ++i) {
    EXPECT_EQ(mobileone_variants()[i].first, kCounts[i].name);
    EXPECT_FALSE(mobileone_variants()[i].second.inference);
  }
}

class Variant : public testing::TestWithParam<Counts> {};

TEST_P(Variant, HasThePublishedCounts) {
  const Counts& counts = GetParam();
  const Graph train = graph_of(counts.name, false), fused = graph_of(counts.name, true);
  EXPECT_EQ(count_parameters(train), counts.parameters);
  EXPECT_EQ(count_parameters(fused), counts.fused_parameters);
  EXPECT_EQ(buffer_elements(train), counts.buffers);
  EXPECT_EQ(buffer_elements(fused), 0);
  EXPECT_EQ(parameters(train).size(), counts.keys);
  EXPECT_EQ(parameters(fused).size(), counts.fused_keys);
  expect_rounds_to(count_macs(train, {1, 3, 224, 224}), counts.macs_millions, 1, counts.name);
  expect_rounds_to(count_macs(fused, {1, 3, 224, 224}), counts.fused_macs_millions, 2, counts.name);
}

TEST_P(Variant, HasFeaturesAtStrides2To32) {
  for (bool inference : {false, true}) {
    const MobileOneConfig config = config_of(GetParam().name);
    const Graph graph = graph_of(GetParam().name, inference);
    for (const auto& [height, width] : {std::pair{224, 224}, {191, 257}, {32, 33}}) {
      const auto shapes = infer_shapes(graph, {2, 3, height, width});
      ASSERT_EQ(graph.features.size(), 5u);
      std::int64_t h = height, w = width;
      for (std::size_t level = 0; level < 5; ++level) {
        h = (h - 1) / 2 + 1;
        w = (w - 1) / 2 + 1;
        const std::int64_t channels = level ? config.widths[level - 1] : config.stem_width;
        EXPECT_EQ(shapes[static_cast<std::size_t>(graph.features[level])],
                  (Shape{2, channels, h, w}));
      }
      EXPECT_EQ(shapes[static_cast<std::size_t>(graph.output)], (Shape{2, 1000}));
    }
  }
}

// The inference form made from a config and the one made by rewriting are the same weights to fill.
TEST_P(Variant, ReparameterizesIntoItsInferenceForm) {
  Network network{graph_of(GetParam().name, false), {}};
  network.weights = initialize(network.graph, 1);
  check_weights(network);
  const Network fused = reparameterize(network);
  check_weights(fused);
  std::map<std::string, Shape> found, expected;
  for (const auto& [name, tensor] : fused.weights) found[name] = tensor.shape();
  for (const Parameter& p : parameters(graph_of(GetParam().name, true))) expected[p.name] = p.shape;
  EXPECT_EQ(found, expected);
  EXPECT_TRUE(is_inference_form(fused.graph));
  EXPECT_FALSE(is_inference_form(network.graph));
}

INSTANTIATE_TEST_SUITE_P(All, Variant, testing::ValuesIn(kCounts),
                         [](const auto& test) { return test.param.name; });

std::set<std::string> weight_names(const Graph& graph) {
  std::set<std::string> names;
  for (const Parameter& parameter : parameters(graph)) names.insert(parameter.name);
  return names;
}

TEST(Names, FollowTheAuthorsCheckpoints) {
  const auto s0 = weight_names(graph_of("mobileone_s0", false));
  // The stem has one convolution branch in every variant; k counts from stage 1 on.
  EXPECT_TRUE(s0.count("stage0.rbr_conv.0.conv.weight"));
  EXPECT_FALSE(s0.count("stage0.rbr_conv.1.conv.weight"));
  EXPECT_TRUE(s0.count("stage1.0.rbr_conv.3.bn.num_batches_tracked"));
  EXPECT_FALSE(s0.count("stage1.0.rbr_conv.4.conv.weight"));
  // Skips need equal widths and stride 1; scales a kernel larger than 1.
  EXPECT_FALSE(s0.count("stage1.0.rbr_skip.weight"));
  EXPECT_TRUE(s0.count("stage1.1.rbr_skip.weight"));  // 48 -> 48
  EXPECT_TRUE(s0.count("stage1.0.rbr_scale.conv.weight"));
  EXPECT_FALSE(s0.count("stage1.1.rbr_scale.conv.weight"));
  EXPECT_FALSE(weight_names(graph_of("mobileone_s1", false)).count("stage1.1.rbr_skip.weight"));
  const auto s4 = weight_names(graph_of("mobileone_s4", true));
  EXPECT_TRUE(s4.count("stage0.reparam_conv.bias"));
  EXPECT_TRUE(s4.count("stage3.10.se.reduce.weight"));
  EXPECT_FALSE(s4.count("stage3.9.se.reduce.weight"));
  EXPECT_TRUE(s4.count("stage4.1.se.expand.bias"));
  EXPECT_TRUE(s4.count("linear.bias"));
}

TEST(CustomConfig, ChangesEveryField) {
  MobileOneConfig config{5, 7, 12, {16, 24}, {1, 2}, 2, {{"stage0", 3}, {"stage2.3", 4}}};
  const Graph graph = mobileone_graph(config);
  const auto shapes = infer_shapes(graph, {1, 5, 32, 40});
  EXPECT_EQ(graph.features.size(), 3u);
  EXPECT_EQ(shapes[static_cast<std::size_t>(graph.features[2])], (Shape{1, 24, 4, 5}));
  EXPECT_EQ(shapes[static_cast<std::size_t>(graph.output)], (Shape{1, 7}));
  const auto names = weight_names(graph);
  EXPECT_TRUE(names.count("stage0.se.reduce.weight"));
  EXPECT_TRUE(names.count("stage2.3.se.expand.weight"));
  EXPECT_FALSE(names.count("stage2.1.se.expand.weight"));
  EXPECT_TRUE(names.count("stage2.2.rbr_conv.1.bn.bias"));
}

TEST(CustomConfig, SqueezesTheLastPairsOfAStage) {
  MobileOneConfig config{3, 10, 64, {64, 128}, {1, 3}, 1, {}};
  add_squeeze_excitation(config, {1, 2});
  EXPECT_EQ(config.se_widths, (std::map<std::string, std::int64_t>{{"stage1.0", 4},
                                                                   {"stage1.1", 4},
                                                                   {"stage2.2", 8},
                                                                   {"stage2.3", 8},
                                                                   {"stage2.4", 8},
                                                                   {"stage2.5", 8}}));
}

void expect_refused(void (*change)(MobileOneConfig&), const std::string& field) {
  MobileOneConfig config{3, 10, 16, {16, 32}, {1, 1}, 1, {}};
  change(config);
  try {
    mobileone_graph(config);
    ADD_FAILURE() << field << " was accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(field), std::string::npos) << error.what();
  }
}

TEST(CustomConfig, ErrorsNameTheField) {
  expect_refused([](auto& c) { c.in_channels = 0; }, "in_channels is 0");
  expect_refused([](auto& c) { c.num_classes = -1; }, "num_classes is -1");
  expect_refused([](auto& c) { c.stem_width = 0; }, "stem_width is 0");
  expect_refused([](auto& c) { c.num_conv_branches = 0; }, "num_conv_branches is 0");
  expect_refused([](auto& c) { c.widths = {}; }, "widths has 0 stages");
  expect_refused([](auto& c) { c.depths = {1}; }, "depths 1");
  expect_refused([](auto& c) { c.widths[1] = 0; }, "widths[1] is 0");
  expect_refused([](auto& c) { c.depths[0] = 0; }, "depths[0] is 0");
  expect_refused([](auto& c) { c.se_widths["stage1.0"] = 0; }, "se_widths[stage1.0] is 0");
  // A name that no block has would otherwise be ignored in silence.
  expect_refused([](auto& c) { c.se_widths["stage9.0"] = 4; }, "stage9.0");
}

TEST(CustomConfig, SqueezeDepthsAreChecked) {
  MobileOneConfig config{3, 10, 16, {16, 32}, {1, 2}, 1, {}};
  EXPECT_THROW(add_squeeze_excitation(config, {1}), Error);
  EXPECT_THROW(add_squeeze_excitation(config, {0, 3}), Error);
  EXPECT_THROW(add_squeeze_excitation(config, {-1, 0}), Error);
}

TEST(Initialize, IsReproducibleAndKeyedByName) {
  const Graph graph = graph_of("mobileone_mu0", false);
  const Weights first = initialize(graph, 3), again = initialize(graph, 3);
  const Weights other = initialize(graph, 4);
  for (const auto& [name, tensor] : first) {
    EXPECT_EQ(tensor.to_doubles(), again.at(name).to_doubles()) << name;
  }
  const std::string branch = "stage1.0.rbr_conv.0.conv.weight";
  EXPECT_NE(first.at(branch).to_doubles(), other.at(branch).to_doubles());
  EXPECT_NE(first.at(branch).to_doubles(),
            first.at("stage1.0.rbr_conv.1.conv.weight").to_doubles());
  // Adding a layer, here five more pairs, does not change the others.
  const Weights deeper = initialize(graph_of("mobileone_mu1", false), 3);
  EXPECT_EQ(first.at(branch).to_doubles(), deeper.at(branch).to_doubles());
}

// Sample mean and deviation of n normal values lie within 6 of their own standard errors
// (probability of a false alarm 2e-9 each).
TEST(Initialize, HasHeScale) {
  const Graph graph = graph_of("mobileone_s1", false);
  const Weights weights = initialize(graph, 0);
  const auto check = [&](const std::string& name, double deviation) {
    const std::vector<double> values = weights.at(name).to_doubles();
    const auto n = static_cast<double>(values.size());
    double sum = 0, squares = 0;
    for (double value : values) sum += value, squares += value * value;
    EXPECT_LE(std::abs(sum / n), 6 * deviation / std::sqrt(n)) << name;
    EXPECT_LE(std::abs(std::sqrt(squares / n) / deviation - 1), 6 / std::sqrt(2 * n)) << name;
  };
  check("stage0.rbr_conv.0.conv.weight", std::sqrt(2.0 / (64 * 9)));
  check("stage4.0.rbr_conv.0.conv.weight", std::sqrt(2.0 / 9));  // depthwise: one output a group
  check("stage4.1.rbr_conv.0.conv.weight", std::sqrt(2.0 / 1280));
  check("linear.weight", 0.01);
  for (double value : weights.at("stage0.rbr_scale.bn.running_var").to_doubles()) {
    EXPECT_EQ(value, 1.0);
  }
  for (double value : weights.at("linear.bias").to_doubles()) EXPECT_EQ(value, 0.0);
}

}  // namespace
}  // namespace mobileone
