// The network of the MobileOne paper's latency studies (Vasu et al. 2023, section 3.2, Tables 2
// and 3): a convolutional network of 30 layers that differs from row to row in one building block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// The paper does not say more about its network than "30 layers". This one is MobileNetV1 (Howard
// et al. 2017, Table 1), counted as there, with a sixth pair of 512 channels: a dense 3x3 stem, 14
// pairs of a depthwise 3x3 and a pointwise 1x1 convolution, and the classifier.
struct PlainCnnConfig {
  std::int64_t in_channels = 3;
  std::int64_t num_classes = 1000;
  std::int64_t stem_width = 32;
  std::vector<std::int64_t> widths{64,  128, 128, 256, 256, 512,  512,
                                   512, 512, 512, 512, 512, 1024, 1024};  // of each pair
  std::vector<std::int64_t> strides{1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1};
  // After every convolution: relu, gelu, silu, se_relu, dynamic_relu_a, dynamic_relu_b or
  // dynamic_shift_max.
  std::string activation = "relu";
  bool squeeze_excite = false;  // before every activation
  bool skip = false;            // an identity around every convolution that keeps the shape
  // Of the layers that compute gates and coefficients: squeezed to max(1, C / reduction) channels.
  std::int64_t reduction = 16;
  // Of Dynamic Shift-Max: channels C / groups apart are combined.
  std::int64_t groups = 2;

  static constexpr auto fields() {
    using C = PlainCnnConfig;
    return std::tuple{Field{"activation", &C::activation},
                      Field{"squeeze_excite", &C::squeeze_excite},
                      Field{"skip", &C::skip},
                      Field{"num_classes", &C::num_classes, 1},
                      Field{"in_channels", &C::in_channels, 1},
                      Field{"stem_width", &C::stem_width, 1},
                      Field{"widths", &C::widths, 1},
                      Field{"strides", &C::strides, 1},
                      Field{"reduction", &C::reduction, 1},
                      Field{"groups", &C::groups, 1}};
  }
};

// The names that `activation` may have, in the order of the paper's Table 2.
const std::vector<std::string>& plain_cnn_activations();

// Inference form: convolutions with biases. Throws Error naming a bad field.
Graph plain_cnn_graph(const PlainCnnConfig& config);

}  // namespace mobileone
