// SSDLite as mmdet builds it (its config ssdlite_mobilenetv2-scratch), on any backbone.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// Maps of the backbone at strides 16 and 32, and of further ones of stride 2, each a 1x1
// convolution to half of its width and a separable 3x3 one; on each map six boxes a pixel, whose
// scores and offsets come from a 3x3 depthwise and a 1x1 convolution each. ReLU6 after every norm.
struct SsdLiteMmdetConfig {
  std::int64_t num_classes = 81;                         // with the background, which comes last
  std::vector<std::int64_t> widths{512, 256, 256, 128};  // of the further maps
  double eps = 1e-3;                                     // of the head's batch norms
  bool inference = false;  // convolutions with biases instead of batch norms

  static constexpr auto fields() {
    using C = SsdLiteMmdetConfig;
    return std::tuple{Field{"num_classes", &C::num_classes, 2}, Field{"widths", &C::widths, 2},
                      Field{"eps", &C::eps}, Field{"inference", &C::inference}};
  }
};

// Results "scores0" [N, 6 * num_classes, h, w], "offsets0" [N, 6 * 4, h, w], "scores1", ...: the
// numbers of one anchor after the other. Feature levels are the backbone's and the further maps.
// `backbone` is a classifier's graph in the same form. Names are mmdet's:
// neck.extra_layers.*, bbox_head.cls_convs.*. Throws Error naming a bad field.
Graph ssdlite_mmdet_graph(const Graph& backbone, const SsdLiteMmdetConfig& config);

}  // namespace mobileone
