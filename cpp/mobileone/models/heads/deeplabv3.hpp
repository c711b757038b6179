// DeepLabV3 (Chen et al., arXiv:1706.05587, section 3.3 and Figure 5) on any backbone.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// Atrous spatial pyramid pooling on the backbone's last level: a 1x1 convolution, a 3x3 one for
// every dilation, and the pooled map, all to `aspp_width` channels, joined and projected; then a
// 1x1 convolution to the classes. Every activation is a ReLU, whatever the backbone's is.
struct DeepLabV3Config {
  std::int64_t num_classes = 21;
  std::int64_t aspp_width = 256;
  std::vector<std::int64_t> aspp_dilations{6, 12, 18};
  double eps = 1e-5;       // of the head's batch norms
  bool inference = false;  // convolutions with biases instead of batch norms

  static constexpr auto fields() {
    using C = DeepLabV3Config;
    return std::tuple{Field{"num_classes", &C::num_classes, 1},
                      Field{"aspp_width", &C::aspp_width, 1},
                      Field{"aspp_dilations", &C::aspp_dilations, 1}, Field{"eps", &C::eps},
                      Field{"inference", &C::inference}};
  }
};

// Logits [N, num_classes, h, w] at the size of the backbone's last level. `backbone` is a
// classifier's graph in the same form. Names are those of the authors of MobileViT (CVNets):
// encoder.*, seg_head.aspp.aspp_layer.*, seg_head.classifier.classifier.block.conv. Throws Error
// naming a bad field.
Graph deeplabv3_graph(const Graph& backbone, const DeepLabV3Config& config);

}  // namespace mobileone
