// The float64 reference of transformers' operators: against values worked out by hand, and their
// modelled rounding errors against those that plain float32 loops really make.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "mobileone/base/error.hpp"
#include "mobileone/reference/deviation.hpp"
#include "mobileone/reference/reference.hpp"

namespace mobileone {
namespace {

using Values = std::vector<double>;

Values normals(std::size_t count, unsigned seed, double scale = 1.0) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0.0, scale);
  Values values(count);
  for (double& value : values) value = static_cast<float>(normal(random));
  return values;
}

Values counting(std::size_t count) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i);
  return values;
}

// input -> Unfold of 1 x 1 patches: tokens [B, H W, C] -> op.
Network on_tokens(std::int64_t channels, const Op& op) {
  Network network;
  const NodeId input = network.graph.add("input", Input{channels}, {});
  const NodeId tokens = network.graph.add("tokens", Unfold{}, {input});
  network.graph.output = network.graph.add("op", op, {tokens});
  return network;
}

Values run(const Network& network, const ReferenceTensor& x, Mode mode = Mode::eval,
           std::uint64_t seed = 0) {
  return reference_forward(network, x, {network.graph.output}, mode, nullptr, 1, seed)[0].values;
}

Values run_map(const Op& op, const ReferenceTensor& x) {
  Network network;
  const NodeId input = network.graph.add("input", Input{x.shape[1]}, {});
  network.graph.output = network.graph.add("op", op, {input});
  return run(network, x);
}

void expect_near(const Values& found, const Values& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    // A handful of float64 roundings of numbers of this size.
    EXPECT_NEAR(found[i], expected[i], 16 * 0x1p-53 * (1 + std::abs(expected[i]))) << i;
  }
}

TEST(ReferenceLayerNorm, NormalisesEveryRowWithItsBiasedVariance) {
  Network network = on_tokens(2, LayerNorm{2, 1.0});
  network.weights["op.weight"] = Tensor::from_doubles({2}, {2, 3});
  network.weights["op.bias"] = Tensor::from_doubles({2}, {10, 20});
  // Two tokens: (1, 3) with mean 2 and variance 1, and (5, 5) with variance 0.
  const Values y = run(network, {{1, 2, 1, 2}, {1, 5, 3, 5}});
  const double r = 1 / std::sqrt(2.0);
  expect_near(y, {10 - 2 * r, 20 + 3 * r, 10, 20});
}

TEST(ReferenceAttention, IsThePerHeadSoftmaxOfScaledProducts) {
  // Two tokens, two heads of one channel: packed rows are (q0, q1, k0, k1, v0, v1).
  const Network network = on_tokens(6, Attention{2});
  const ReferenceTensor x{{1, 6, 1, 2}, {1, 2, -1, 0, 3, 1, 0, 5, 10, 20, 7, 8}};
  // Head 0: q = (1, 2), k = (3, 1), v = (10, 20); head 1: q = (-1, 0), k = (0, 5), v = (7, 8).
  const auto mixed = [](double q, const Values& k, const Values& v) {
    const double a = std::exp(q * k[0]), b = std::exp(q * k[1]);
    return (a * v[0] + b * v[1]) / (a + b);
  };
  expect_near(run(network, x), {mixed(1, {3, 1}, {10, 20}), mixed(-1, {0, 5}, {7, 8}),
                                mixed(2, {3, 1}, {10, 20}), mixed(0, {0, 5}, {7, 8})});
}

TEST(ReferenceAttention, DividesByTheRootOfTheHeadSize) {
  // One head of four channels: q . k = 4 and 0, over sqrt(4).
  const Network network = on_tokens(12, Attention{1});
  Values packed;
  for (double value : {1., 1., 1., 1.}) packed.insert(packed.end(), {value, value});  // q
  for (int i = 0; i < 4; ++i) packed.insert(packed.end(), {1.0, 0.0});                // k
  for (int i = 0; i < 4; ++i) packed.insert(packed.end(), {1.0, 0.0});                // v
  const double weight = std::exp(2.0) / (std::exp(2.0) + 1);
  expect_near(run(network, {{1, 12, 1, 2}, packed}), Values(8, weight));
}

TEST(ReferenceAttention, SurvivesScoresThatExponentialsDoNot) {
  const Network network = on_tokens(3, Attention{1});
  const Values y = run(network, {{1, 3, 1, 2}, {1000, 1000, 1000, -1000, 5, 7}});
  expect_near(y, {5, 5});
}

TEST(ReferencePatches, AreSequencesPerPositionInThePatch) {
  // 2 x 4 pixels in patches of 2 x 2: positions (0,0), (0,1), (1,0), (1,1); patches left and right.
  EXPECT_EQ(run_map(Unfold{{2, 2}}, {{1, 1, 2, 4}, counting(8)}), (Values{0, 2, 1, 3, 4, 6, 5, 7}));
  // Channels are last: two channels of 1 x 2 pixels.
  EXPECT_EQ(run_map(Unfold{{1, 2}}, {{1, 2, 1, 2}, {0, 1, 10, 11}}), (Values{0, 10, 1, 11}));
}

TEST(ReferencePatches, FoldIsTheInverse) {
  const Shape shape{2, 3, 8, 6};
  Network network;
  const NodeId input = network.graph.add("input", Input{3}, {});
  const NodeId tokens = network.graph.add("tokens", Unfold{{4, 2}}, {input});
  network.graph.output = network.graph.add("map", Fold{{4, 2}}, {tokens, input});
  EXPECT_EQ(run(network, {shape, counting(288)}), counting(288));
  const auto shapes = infer_shapes(network.graph, shape);
  EXPECT_EQ(shapes[1], (Shape{16, 6, 3}));
  EXPECT_EQ(shapes[2], shape);
}

TEST(ReferenceResize, AlignsPixelCentres) {
  // Three pixels to four: places (i + 1/2) 3/4 - 1/2 = -1/8, 5/8, 11/8, 17/8.
  expect_near(run_map(Resize{{1, 2}}, {{1, 1, 1, 3}, {0, 8, 16}}), {0, 5, 11, 16});
  // The same down a column, for two channels.
  expect_near(run_map(Resize{{4, 1}}, {{1, 2, 3, 1}, {0, 8, 16, 1, 1, 1}}),
              {0, 5, 11, 16, 1, 1, 1, 1});
  const Values same = normals(12, 1);
  EXPECT_EQ(run_map(Resize{{3, 2}}, {{1, 1, 3, 4}, same}), same);
}

TEST(ReferenceResize, GoesToTheSizeOfTheSecondInput) {
  Network network;
  const NodeId input = network.graph.add("input", Input{1}, {});
  const NodeId large = network.graph.add("large", Resize{{1, 4}}, {input});
  network.graph.output = network.graph.add("back", Resize{}, {large, input});
  // 3 -> 4 -> 3 pixels: places (i + 1/2) 4/3 - 1/2 = 1/6, 3/2, 17/6 in {0, 5, 11, 16}.
  expect_near(run(network, {{1, 1, 1, 3}, {0, 8, 16}}), {5. / 6, 8, 11 + 25. / 6});
}

TEST(ReferenceConcat, JoinsChannelsOfEveryImage) {
  Network network;
  const NodeId input = network.graph.add("input", Input{2}, {});
  const NodeId relu = network.graph.add("relu", Activation{ActivationKind::relu}, {input});
  network.graph.output = network.graph.add("op", Concat{}, {input, relu});
  EXPECT_EQ(run(network, {{2, 2, 1, 1}, {-1, 2, 3, -4}}), (Values{-1, 2, 0, 2, 3, -4, 3, 0}));
}

TEST(ReferenceDropout, DropsInTrainingByTheSeedAlone) {
  Network network;
  const NodeId input = network.graph.add("input", Input{1}, {});
  network.graph.output = network.graph.add("drop", Dropout{0.25}, {input});
  const ReferenceTensor x{{1, 1, 100, 100}, Values(10000, 3.0)};
  EXPECT_EQ(run(network, x), x.values);
  const Values y = run(network, x, Mode::train, 5);
  EXPECT_EQ(y, run(network, x, Mode::train, 5));
  EXPECT_NE(y, run(network, x, Mode::train, 6));
  const auto dropped = static_cast<double>(std::count(y.begin(), y.end(), 0.0));
  EXPECT_EQ(std::count(y.begin(), y.end(), 4.0), 10000 - static_cast<std::int64_t>(dropped));
  // A binomial's deviation is sqrt(10000 * 3 / 16) = 43: five of them.
  EXPECT_NEAR(dropped, 2500, 217);
}

double rms(const Values& values) {
  double squares = 0.0;
  for (double value : values) squares += value * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Tokens [1, N, C] of the map that `on_tokens` is given.
float at(const ReferenceTensor& map, std::size_t token, std::size_t channel) {
  const auto tokens = static_cast<std::size_t>(map.shape[3]);
  return static_cast<float>(map.values[channel * tokens + token]);
}

// What float32 loops make of layer norm, one operation after the other.
Values float32_layer_norm(const ReferenceTensor& x, const Values& gamma, const Values& beta,
                          float eps) {
  const auto tokens = static_cast<std::size_t>(x.shape[3]);
  const auto channels = static_cast<std::size_t>(x.shape[1]);
  Values y;
  for (std::size_t t = 0; t < tokens; ++t) {
    float sum = 0.0f, squares = 0.0f;
    for (std::size_t c = 0; c < channels; ++c) sum += at(x, t, c);
    const float mean = sum / static_cast<float>(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      const float centred = at(x, t, c) - mean;
      squares += centred * centred;
    }
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(channels) + eps);
    for (std::size_t c = 0; c < channels; ++c) {
      const float normal = (at(x, t, c) - mean) * scale;
      y.push_back(normal * static_cast<float>(gamma[c]) + static_cast<float>(beta[c]));
    }
  }
  return y;
}

Values float32_attention(const ReferenceTensor& x, std::size_t heads) {
  const auto tokens = static_cast<std::size_t>(x.shape[3]);
  const std::size_t width = static_cast<std::size_t>(x.shape[1]) / 3, size = width / heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(size));
  Values y(tokens * width);
  for (std::size_t head = 0; head < heads; ++head) {
    for (std::size_t i = 0; i < tokens; ++i) {
      std::vector<float> weights(tokens);
      for (std::size_t j = 0; j < tokens; ++j) {
        float sum = 0.0f;
        for (std::size_t f = head * size; f < (head + 1) * size; ++f) {
          sum += at(x, i, f) * at(x, j, width + f);
        }
        weights[j] = sum * scale;
      }
      const float largest = *std::max_element(weights.begin(), weights.end());
      float total = 0.0f;
      for (float& weight : weights) total += weight = std::exp(weight - largest);
      for (std::size_t f = head * size; f < (head + 1) * size; ++f) {
        float sum = 0.0f;
        for (std::size_t j = 0; j < tokens; ++j) sum += weights[j] * at(x, j, 2 * width + f);
        y[i * width + f] = sum / total;
      }
    }
  }
  return y;
}

// Real errors stay below the model's deviation, which takes every rounding to be u instead of
// u / 2.35 and exponentials to err by 4 units in the last place instead of about half a one; and
// not so far below that it means nothing.
void expect_bracketed(const Network& network, const ReferenceTensor& x, const Values& found,
                      double most) {
  const Values exact = run(network, x);
  ASSERT_EQ(found.size(), exact.size());
  Values errors;
  for (std::size_t i = 0; i < found.size(); ++i) errors.push_back(found[i] - exact[i]);
  const double model = error_deviation(network, x, {network.graph.output}, 4, 1).outputs[0].rms;
  EXPECT_LT(rms(errors), model);
  EXPECT_GT(rms(errors), model / most);
}

TEST(TokenDeviations, BracketFloat32LayerNorms) {
  for (double offset : {0.0, 3.0}) {
    for (std::int64_t channels : {16, 144, 240}) {
      Network network = on_tokens(channels, LayerNorm{channels});
      const auto count = static_cast<std::size_t>(channels);
      const Values gamma = normals(count, 2), beta = normals(count, 3);
      network.weights["op.weight"] = Tensor::from_doubles({channels}, gamma);
      network.weights["op.bias"] = Tensor::from_doubles({channels}, beta);
      ReferenceTensor x{{1, channels, 1, 64}, normals(64 * count, 4)};
      for (double& value : x.values) value = static_cast<float>(value + offset);
      expect_bracketed(network, x, float32_layer_norm(x, gamma, beta, 1e-5f), 8);
    }
  }
}

TEST(TokenDeviations, BracketFloat32Attention) {
  for (double scale : {0.3, 1.0, 3.0}) {  // from even to one-hot weights
    for (std::int64_t width : {12, 64}) {
      const Network network = on_tokens(3 * width, Attention{4});
      const ReferenceTensor x{{1, 3 * width, 1, 96},
                              normals(static_cast<std::size_t>(96 * 3 * width), 5, scale)};
      expect_bracketed(network, x, float32_attention(x, 4), 24);
    }
  }
}

TEST(TokenDeviations, BracketFloat32Resizes) {
  Network network;
  const NodeId input = network.graph.add("input", Input{64}, {});
  network.graph.output = network.graph.add("op", Resize{{1, 8}}, {input});
  const ReferenceTensor x{{1, 64, 1, 7}, normals(64 * 7, 6)};
  Values found;
  const float ratio = 7.0f / 8.0f;
  for (std::size_t c = 0; c < 64; ++c) {
    for (std::size_t i = 0; i < 8; ++i) {
      const float place = std::max(0.0f, (static_cast<float>(i) + 0.5f) * ratio - 0.5f);
      const auto low = static_cast<std::size_t>(place);
      const float a = place - static_cast<float>(low);
      const auto pixel = [&](std::size_t p) {
        return static_cast<float>(x.values[c * 7 + std::min<std::size_t>(p, 6)]);
      };
      found.push_back((1.0f - a) * pixel(low) + a * pixel(low + 1));
    }
  }
  // All weights are multiples of 1/16 here, so that most roundings of the model do not happen.
  expect_bracketed(network, x, found, 64);
}

TEST(TokenShapes, NameTheNodeThatDoesNotFit) {
  const auto message = [](const Op& op, const Shape& shape, std::size_t inputs = 1) {
    Graph graph;
    const NodeId input = graph.add("input", Input{shape[1]}, {});
    try {
      graph.add("x", op, std::vector<NodeId>(inputs, input));
      infer_shapes(graph, shape);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(LayerNorm{5}, {1, 4, 2, 6}),
            "[LayerNorm] x: input has shape (1, 4, 2, 6); expected (..., 5)");
  EXPECT_EQ(message(Attention{2}, {1, 4, 2, 6}),
            "[Attention] x: input has shape (1, 4, 2, 6); expected 3-d");
  EXPECT_EQ(message(Unfold{{2, 4}}, {1, 4, 2, 6}),
            "[Unfold] x: map has shape (1, 4, 2, 6); expected multiples of the patch (2, 4)");
  EXPECT_EQ(message(Fold{{2, 2}}, {1, 4, 2, 6}, 2),
            "[Fold] x: input has shape (1, 4, 2, 6); expected 3-d");
  EXPECT_EQ(message(Resize{{0, 2}}, {1, 4, 2, 6}),
            "[Resize] x: multiple is 0; expected at least 1");
  EXPECT_EQ(message(Dropout{1.5}, {1, 4, 2, 6}), "[Dropout] x: p is 1.5; expected 0 <= p < 1");
  EXPECT_THROW(infer_shapes(on_tokens(8, Attention{3}).graph, {1, 8, 2, 2}), Error);
  EXPECT_EQ(message(Resize{}, {1, 4, 2, 6}, 3), "[graph] x: Resize has 3 inputs; expected 1 to 2");
}

TEST(TokenCounts, AttentionIsCountedApart) {
  // 12 tokens of 4 features: 2 * 12 * 12 * 4 products; the projection 12 * 4 * 12.
  Network network;
  const NodeId input = network.graph.add("input", Input{4}, {});
  const NodeId tokens = network.graph.add("tokens", Unfold{}, {input});
  const NodeId packed = network.graph.add("qkv", Linear{4, 12, true}, {tokens});
  network.graph.output = network.graph.add("attention", Attention{2}, {packed});
  EXPECT_EQ(count_macs(network.graph, {1, 4, 3, 4}), 12 * 4 * 12);
  EXPECT_EQ(count_attention_macs(network.graph, {1, 4, 3, 4}), 2 * 12 * 12 * 4);
}

}  // namespace
}  // namespace mobileone
