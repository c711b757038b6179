// SSDLite (Liu et al. 2016; Sandler et al. 2018, section 6.2) on any backbone, as the authors of
// MobileViT build it (Mehta & Rastegari, ICLR 2022, section 4.2; CVNets).
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// Maps of the backbone at strides 16 and 32, of three more separable convolutions of stride 2, and
// of one pixel; on each of them `anchors` boxes a pixel, of 4 offsets and `num_classes` scores.
struct SsdLiteConfig {
  std::int64_t num_classes = 81;  // with the background, which comes first
  // Channels of each map's head; a 1x1 convolution leads to them where the map has others.
  std::vector<std::int64_t> widths{512, 256, 256, 128, 128, 64};
  std::vector<std::int64_t> anchors{6, 6, 6, 6, 6, 4};
  double eps = 1e-5;       // of the head's batch norms
  bool inference = false;  // convolutions with biases instead of batch norms

  static constexpr auto fields() {
    using C = SsdLiteConfig;
    return std::tuple{Field{"num_classes", &C::num_classes, 2}, Field{"widths", &C::widths, 1},
                      Field{"anchors", &C::anchors, 1}, Field{"eps", &C::eps},
                      Field{"inference", &C::inference}};
  }
};

// Results "map0", "map1", ...: [N, anchors * (4 + num_classes), h, w], the numbers of one anchor
// after the other. Feature levels are the backbone's and the three maps after them. `backbone` is
// a classifier's graph in the same form. Names are those of CVNets: encoder.*,
// extra_layers.os_64.*, ssd_heads.0.*. Throws Error naming a bad field.
Graph ssdlite_graph(const Graph& backbone, const SsdLiteConfig& config);

}  // namespace mobileone
