#include "mobileone/models/mobilevit.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/base/error.hpp"
#include "mobileone/models/layers.hpp"

namespace mobileone {

namespace {

void check_positive(std::int64_t value, const std::string& field) {
  if (value < 1) throw Error(concat("[mobilevit] ", field, " is ", value, "; expected at least 1"));
}

void check_probability(double value, const std::string& field) {
  if (!(value >= 0.0 && value < 1.0)) {
    throw Error(concat("[mobilevit] ", field, " is ", value, "; expected 0 <= p < 1"));
  }
}

void check_transformer(const MobileViTConfig& config, std::size_t layer) {
  const std::int64_t width = config.transformer_widths[layer];
  if (width == 0) {
    if (config.transformer_depths[layer] != 0 || config.ffn_widths[layer] != 0) {
      throw Error(concat("[mobilevit] transformer_depths[", layer, "] is ",
                         config.transformer_depths[layer], " and ffn_widths[", layer, "] ",
                         config.ffn_widths[layer], "; expected 0 where transformer_widths is 0"));
    }
    return;
  }
  check_positive(config.ffn_widths[layer], concat("ffn_widths[", layer, "]"));
  check_positive(config.transformer_depths[layer], concat("transformer_depths[", layer, "]"));
  if (width % config.heads != 0) {
    throw Error(concat("[mobilevit] transformer_widths[", layer, "] is ", width,
                       "; expected a multiple of the ", config.heads, " heads"));
  }
}

void check(const MobileViTConfig& config) {
  check_probability(config.dropout, "dropout");
  check_probability(config.ffn_dropout, "ffn_dropout");
  check_probability(config.classifier_dropout, "classifier_dropout");
  if (!(config.expansion > 0.0 && config.expansion <= 1024.0)) {
    throw Error(concat("[mobilevit] expansion is ", config.expansion, "; expected 0 < x <= 1024"));
  }
  check_fields(config, "[mobilevit] ");
  const std::size_t layers = config.widths.size();
  if (layers == 0) throw Error("[mobilevit] widths has 0 layers; expected at least 1");
  const std::pair<const char*, const std::vector<std::int64_t>*> lists[] = {
      {"depths", &config.depths},
      {"transformer_widths", &config.transformer_widths},
      {"ffn_widths", &config.ffn_widths},
      {"transformer_depths", &config.transformer_depths}};
  for (const auto& [field, list] : lists) {
    if (list->size() != layers) {
      throw Error(concat("[mobilevit] ", field, " has ", list->size(), " layers; expected ", layers,
                         ", as widths"));
    }
  }
  check_eps("[mobilevit] ", "eps", config.eps);
  check_eps("[mobilevit] ", "layer_norm_eps", config.layer_norm_eps);
  check_strides("[mobilevit] ", config.strides, layers);
  std::set<std::string> blocks;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    check_transformer(config, layer);
    const std::int64_t last = config.depths[layer] - (config.transformer_widths[layer] == 0);
    for (std::int64_t block = 0; block <= last; ++block) {
      blocks.insert(concat("layer_", layer + 1, ".", block));
    }
  }
  check_blocks("[mobilevit] ", "dilations", config.dilations, blocks);
}

Conv2d square(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1,
              std::int64_t groups = 1, std::int64_t dilation = 1) {
  return same_conv(in, out, kernel, stride, groups, false, dilation);
}

// Adds nodes under the authors' module names; `last` of each function is its input.
class Builder {
 public:
  explicit Builder(const MobileViTConfig& config) : config_(config) { check(config); }

  Graph build() && {
    NodeId last = graph_.add("input", Input{config_.in_channels}, {});
    const Conv2d stem = square(config_.in_channels, config_.stem_width, 3, config_.stem_stride);
    last = conv_norm("conv_1", stem, true, last);
    graph_.features.push_back(last);
    std::int64_t width = config_.stem_width;
    for (std::size_t layer = 0; layer < config_.widths.size(); ++layer) {
      last = add_layer(layer, width, last);
      width = config_.widths[layer];
      graph_.features.push_back(last);
    }
    if (config_.head_width > 0) {
      last = conv_norm("conv_1x1_exp", square(width, config_.head_width, 1), true, last);
      width = config_.head_width;
    }
    graph_.output = graph_.add("classifier.global_pool", GlobalAvgPool{}, {last});
    if (config_.num_classes > 0) {
      last = add_dropout("classifier.dropout", config_.classifier_dropout, graph_.output);
      graph_.output = graph_.add("classifier.fc", Linear{width, config_.num_classes, true}, {last});
    }
    return std::move(graph_);
  }

 private:
  NodeId activate(const std::string& name, NodeId last) {
    return graph_.add(name, Activation{config_.activation}, {last});
  }

  NodeId add_dropout(const std::string& name, double p, NodeId last) {
    return config_.inference || p == 0.0 ? last : graph_.add(name, Dropout{p}, {last});
  }

  NodeId conv_norm(const std::string& name, Conv2d conv, bool activation, NodeId last) {
    conv.bias = config_.inference;
    last = graph_.add(name + ".block.conv", conv, {last});
    if (!config_.inference) {
      last = graph_.add(name + ".block.norm", BatchNorm{conv.out_channels, config_.eps}, {last});
    }
    return activation ? activate(name + ".block.act", last) : last;
  }

  NodeId add_layer(std::size_t layer, std::int64_t in, NodeId last) {
    const std::int64_t out = config_.widths[layer];
    const std::string name = concat("layer_", layer + 1, ".");
    for (std::int64_t block = 0; block < config_.depths[layer]; ++block) {
      const std::int64_t stride = block == 0 ? stride_of(layer) : 1;
      last = inverted_residual(concat(name, block), block == 0 ? in : out, out, stride, last);
    }
    if (config_.transformer_widths[layer] == 0) return last;
    return mobilevit_block(concat(name, config_.depths[layer]), layer, last);
  }

  std::int64_t stride_of(std::size_t layer) const {
    return config_.strides.empty() ? (layer > 0 ? 2 : 1) : config_.strides[layer];
  }

  // MobileNetV2's block (Sandler et al. 2018): expand, depthwise, project without an activation.
  NodeId inverted_residual(const std::string& name, std::int64_t in, std::int64_t out,
                           std::int64_t stride, NodeId input) {
    const std::int64_t hidden = expanded_width(in, config_.expansion);
    const std::string block = name + ".block.";
    NodeId last = conv_norm(block + "exp_1x1", square(in, hidden, 1), true, input);
    const std::int64_t dilation = value_of(config_.dilations, name, 1);
    const Conv2d depthwise = square(hidden, hidden, 3, stride, hidden, dilation);
    last = conv_norm(block + "conv_3x3", depthwise, true, last);
    last = conv_norm(block + "red_1x1", square(hidden, out, 1), false, last);
    if (stride != 1 || in != out) return last;
    return graph_.add(name + ".sum", Add{}, {input, last});
  }

  // Section 3.1 and Figure 1b: local convolutions, transformers over the patches, fusion.
  NodeId mobilevit_block(const std::string& name, std::size_t layer, NodeId input) {
    const std::int64_t width = config_.widths[layer], inner = config_.transformer_widths[layer];
    const Conv2d conv = square(width, width, 3, 1, 1, value_of(config_.dilations, name, 1));
    NodeId last = conv_norm(name + ".local_rep.conv_3x3", conv, true, input);
    const NodeId local =
        graph_.add(name + ".local_rep.conv_1x1.block.conv", square(width, inner, 1), {last});
    const NodeId map = graph_.add(name + ".resize", Resize{config_.patch}, {local});
    last = graph_.add(name + ".unfold", Unfold{config_.patch}, {map});
    const std::string global = name + ".global_rep.";
    for (std::int64_t t = 0; t < config_.transformer_depths[layer]; ++t) {
      last = transformer(concat(global, t), inner, config_.ffn_widths[layer], last);
    }
    last = graph_.add(concat(global, config_.transformer_depths[layer]),
                      LayerNorm{inner, config_.layer_norm_eps}, {last});
    last = graph_.add(name + ".fold", Fold{config_.patch}, {last, map});
    last = graph_.add(name + ".resize_back", Resize{}, {last, local});
    last = conv_norm(name + ".conv_proj", square(inner, width, 1), true, last);
    last = graph_.add(name + ".concat", Concat{}, {input, last});
    return conv_norm(name + ".fusion", square(2 * width, width, 3), true, last);
  }

  // Pre-norm encoder: x += attention(norm(x)), then x += feed_forward(norm(x)).
  NodeId transformer(const std::string& name, std::int64_t width, std::int64_t hidden,
                     NodeId input) {
    const std::string mha = name + ".pre_norm_mha.", ffn = name + ".pre_norm_ffn.";
    NodeId last = graph_.add(mha + "0", LayerNorm{width, config_.layer_norm_eps}, {input});
    last = graph_.add(mha + "1.qkv_proj", Linear{width, 3 * width, true}, {last});
    last = graph_.add(mha + "1.attention", Attention{config_.heads}, {last});
    last = graph_.add(mha + "1.out_proj", Linear{width, width, true}, {last});
    last = add_dropout(mha + "2", config_.dropout, last);
    const NodeId middle = graph_.add(mha + "sum", Add{}, {input, last});
    last = graph_.add(ffn + "0", LayerNorm{width, config_.layer_norm_eps}, {middle});
    last = graph_.add(ffn + "1", Linear{width, hidden, true}, {last});
    last = activate(ffn + "2", last);
    last = add_dropout(ffn + "3", config_.ffn_dropout, last);
    last = graph_.add(ffn + "4", Linear{hidden, width, true}, {last});
    last = add_dropout(ffn + "5", config_.dropout, last);
    return graph_.add(ffn + "sum", Add{}, {middle, last});
  }

  const MobileViTConfig& config_;
  Graph graph_;
};

// The published variants differ in widths, transformers' widths, expansion and the last width.
MobileViTConfig variant(std::vector<std::int64_t> widths, const std::vector<std::int64_t>& inner,
                        double expansion, std::int64_t head_width) {
  MobileViTConfig config;
  config.widths = std::move(widths);
  config.depths = {1, 3, 1, 1, 1};
  config.transformer_widths = {0, 0, inner[0], inner[1], inner[2]};
  for (std::int64_t width : config.transformer_widths) config.ffn_widths.push_back(2 * width);
  config.transformer_depths = {0, 0, 2, 4, 3};
  config.expansion = expansion;
  config.head_width = head_width;
  return config;
}

}  // namespace

std::int64_t expanded_width(std::int64_t in_channels, double expansion) {
  const double exact = std::round(static_cast<double>(in_channels) * expansion);
  const auto multiple = static_cast<std::int64_t>((exact + 4.0) / 8.0) * 8;
  const std::int64_t width = std::max<std::int64_t>(8, multiple);
  return static_cast<double>(width) < 0.9 * exact ? width + 8 : width;
}

const std::vector<std::pair<std::string, MobileViTConfig>>& mobilevit_variants() {
  static const std::vector<std::pair<std::string, MobileViTConfig>> variants{
      {"mobilevit_xxs", variant({16, 24, 48, 64, 80}, {64, 80, 96}, 2.0, 320)},
      {"mobilevit_xs", variant({32, 48, 64, 80, 96}, {96, 120, 144}, 4.0, 384)},
      {"mobilevit_s", variant({32, 64, 96, 128, 160}, {144, 192, 240}, 4.0, 640)},
  };
  return variants;
}

Graph mobilevit_graph(const MobileViTConfig& config) { return Builder(config).build(); }

}  // namespace mobileone
