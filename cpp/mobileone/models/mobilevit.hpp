// MobileViT (Mehta & Rastegari, ICLR 2022, Table 4): config -> Graph, in either form.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// A 3x3 stem of stride 2, then layers of MobileNetV2 blocks, the first of stride 1 and the others
// of stride 2, some of which end with a MobileViT block; a 1x1 expansion and the classifier. All
// lists have one entry per layer.
struct MobileViTConfig {
  std::int64_t in_channels = 3;
  std::int64_t num_classes = 1000;  // 0: no classifier, the result is the pooled features
  std::int64_t stem_width = 16;
  std::vector<std::int64_t> widths;              // output channels
  std::vector<std::int64_t> depths;              // MobileNetV2 blocks
  std::vector<std::int64_t> transformer_widths;  // d of the MobileViT block; 0: the layer has none
  std::vector<std::int64_t> ffn_widths;          // hidden features of its feed-forward networks
  std::vector<std::int64_t> transformer_depths;  // L, its transformers
  double expansion = 4.0;                        // of every MobileNetV2 block
  // Channels of the 1x1 convolution before the pool; 0: there is none, as in backbones.
  std::int64_t head_width = 640;
  std::int64_t heads = 4;
  Extent patch{2, 2};
  // In the train-time form: after attention's projection and after the feed-forward network, after
  // the latter's activation, and before the classifier.
  double dropout = 0.0, ffn_dropout = 0.0, classifier_dropout = 0.0;
  ActivationKind activation = ActivationKind::silu;  // everywhere
  double eps = 1e-5, layer_norm_eps = 1e-5;          // of batch norms, of layer norms
  std::int64_t stem_stride = 2;
  std::vector<std::int64_t> strides{};  // of each layer's first block; empty: 1, then 2 each
  // Where it is not 1, of the 3x3 convolution of a MobileNetV2 block, and of the first one of a
  // MobileViT block, by the block's name ("layer_5.0").
  IntegersByName dilations{};
  bool inference = false;  // convolutions with biases instead of batch norms, no dropout

  static constexpr auto fields() {
    using C = MobileViTConfig;
    return std::tuple{Field{"stem_width", &C::stem_width, 1},
                      Field{"widths", &C::widths, 1},
                      Field{"depths", &C::depths, 1},
                      Field{"transformer_widths", &C::transformer_widths},
                      Field{"ffn_widths", &C::ffn_widths},
                      Field{"transformer_depths", &C::transformer_depths},
                      Field{"expansion", &C::expansion},
                      Field{"head_width", &C::head_width},
                      Field{"heads", &C::heads, 1},
                      Field{"patch", &C::patch, 1},
                      Field{"dropout", &C::dropout},
                      Field{"ffn_dropout", &C::ffn_dropout},
                      Field{"classifier_dropout", &C::classifier_dropout},
                      Field{"num_classes", &C::num_classes},
                      Field{"in_channels", &C::in_channels, 1},
                      Field{"activation", &C::activation},
                      Field{"eps", &C::eps},
                      Field{"layer_norm_eps", &C::layer_norm_eps},
                      Field{"stem_stride", &C::stem_stride, 1},
                      Field{"strides", &C::strides, 1},
                      Field{"dilations", &C::dilations, 1},
                      Field{"inference", &C::inference}};
  }
  // What a published variant does not decide, or leaves as it is above.
  static constexpr std::array kOpen{
      "dropout", "ffn_dropout",    "classifier_dropout", "num_classes", "in_channels", "activation",
      "eps",     "layer_norm_eps", "stem_stride",        "strides",     "dilations",   "inference"};
};

// in * expansion rounded to the nearest multiple of 8, and no less than 90 % of it (Sandler et al.
// 2018, the authors' code): hidden channels of a MobileNetV2 block.
std::int64_t expanded_width(std::int64_t in_channels, double expansion);

// The published variants, train-time form: mobilevit_xxs, mobilevit_xs and mobilevit_s.
const std::vector<std::pair<std::string, MobileViTConfig>>& mobilevit_variants();

// Weights are named as in the authors' code (CVNets): conv_1.block.conv,
// layer_3.1.global_rep.0.pre_norm_mha.1.qkv_proj, classifier.fc. Throws Error naming a bad field.
Graph mobilevit_graph(const MobileViTConfig& config);

}  // namespace mobileone
