// MobileOne (Vasu et al., CVPR 2023, section 3 and Table 2): config -> Graph, in either form.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// A net of a dense 3x3 stem and stages of depthwise 3x3 -> pointwise 1x1 pairs. The first pair of
// every stage has stride 2 unless told otherwise, so the total stride is 2^(1 + number of stages);
// its depthwise block never has a skip branch.
struct MobileOneConfig {
  std::int64_t in_channels = 3;
  std::int64_t num_classes = 1000;  // 0: no classifier, the result is the pooled features
  std::int64_t stem_width = 64;
  std::vector<std::int64_t> widths;    // output channels of each stage
  std::vector<std::int64_t> depths;    // pairs in each stage
  std::int64_t num_conv_branches = 1;  // k; the stem always has exactly one
  // Blocks with squeeze-and-excitation ("stage3.10") and the squeezed width of each.
  std::map<std::string, std::int64_t> se_widths;
  ActivationKind activation = ActivationKind::relu;  // of every block; that in SE stays ReLU
  double eps = 1e-5;                                 // of every batch norm
  std::int64_t stem_stride = 2;
  std::vector<std::int64_t> strides{};  // of each stage's first pair; empty: 2 each
  IntegersByName dilations{};           // of depthwise blocks by name, where it is not 1
  bool inference = false;               // one convolution with a bias per block, no branches

  static constexpr auto fields() {
    using C = MobileOneConfig;
    return std::tuple{Field{"stem_width", &C::stem_width, 1},
                      Field{"widths", &C::widths, 1},
                      Field{"depths", &C::depths, 1},
                      Field{"num_conv_branches", &C::num_conv_branches, 1},
                      Field{"se_widths", &C::se_widths, 1},
                      Field{"num_classes", &C::num_classes},
                      Field{"in_channels", &C::in_channels, 1},
                      Field{"activation", &C::activation},
                      Field{"eps", &C::eps},
                      Field{"stem_stride", &C::stem_stride, 1},
                      Field{"strides", &C::strides, 1},
                      Field{"dilations", &C::dilations, 1},
                      Field{"inference", &C::inference}};
  }
  // What a published variant does not decide, or leaves as it is above.
  static constexpr std::array kOpen{"num_classes", "in_channels", "activation", "eps",
                                    "stem_stride", "strides",     "dilations",  "inference"};
};

// Puts SE into both blocks of the last `se_depths[s]` pairs of stage s, squeezed to floor(C / 16)
// channels (the authors' rule).
void add_squeeze_excitation(MobileOneConfig& config, const std::vector<std::int64_t>& se_depths);

// The published variants by name, train-time form: mobileone_s0 ... _s4 (Table 2) and
// mobileone_mu0 ... _mu2 (supplement).
const std::vector<std::pair<std::string, MobileOneConfig>>& mobileone_variants();

// Node and weight names are those of the authors' code: stage0.rbr_conv.0.conv, stage1.0.rbr_skip,
// stage4.1.se.reduce, stage2.3.reparam_conv, linear. Throws Error naming a bad field.
Graph mobileone_graph(const MobileOneConfig& config);

}  // namespace mobileone
