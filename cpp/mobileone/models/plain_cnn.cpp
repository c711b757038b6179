#include "mobileone/models/plain_cnn.hpp"

#include <algorithm>

#include "mobileone/base/error.hpp"
#include "mobileone/models/layers.hpp"

namespace mobileone {

namespace {

// As in squeeze-and-excitation: [N, C, H, W] -> [N, out, 1, 1].
NodeId add_squeezed_gate(Graph& graph, const PlainCnnConfig& config, const std::string& name,
                         std::int64_t channels, std::int64_t out, ActivationKind kind,
                         NodeId input) {
  const std::int64_t squeezed = std::max<std::int64_t>(1, channels / config.reduction);
  return add_gate(graph, {channels, squeezed, out, kind}, name, input);
}

NodeId add_squeeze_excite(Graph& graph, const PlainCnnConfig& config, const std::string& block,
                          std::int64_t channels, NodeId input) {
  const std::string name = block + ".se";
  const NodeId gate =
      add_squeezed_gate(graph, config, name, channels, channels, ActivationKind::sigmoid, input);
  return graph.add(name + ".scale", Multiply{}, {input, gate});
}

// The coefficients of dynamic ReLU pass a sigmoid (Chen et al. 2020, section 3.2), those of dynamic
// shift-max a hard one (Li et al. 2021).
NodeId add_dynamic(Graph& graph, const PlainCnnConfig& config, const std::string& block,
                   std::int64_t channels, NodeId input) {
  DynamicMax op{channels};
  ActivationKind gate_kind = ActivationKind::sigmoid;
  if (config.activation == "dynamic_relu_a") {
    op.shared = true;
  } else if (config.activation == "dynamic_shift_max") {
    op.terms = 2;
    op.groups = config.groups;
    op.offsets = false;
    gate_kind = ActivationKind::hard_sigmoid;
  }
  const NodeId gate = add_squeezed_gate(graph, config, block + ".act", channels, op.coefficients(),
                                        gate_kind, input);
  return graph.add(block + ".act", op, {input, gate});
}

NodeId add_activation(Graph& graph, const PlainCnnConfig& config, const std::string& block,
                      std::int64_t channels, NodeId input) {
  const auto add = [&](ActivationKind kind, NodeId from) {
    return graph.add(block + ".act", Activation{kind}, {from});
  };
  ActivationKind kind{};
  if (read_attribute(config.activation, kind).empty()) return add(kind, input);
  if (config.activation == "se_relu") {
    return add(ActivationKind::relu, add_squeeze_excite(graph, config, block, channels, input));
  }
  return add_dynamic(graph, config, block, channels, input);
}

NodeId add_block(Graph& graph, const PlainCnnConfig& config, const std::string& block,
                 const Conv2d& conv, NodeId input) {
  const std::int64_t channels = conv.out_channels;
  NodeId last = graph.add(block + ".conv", conv, {input});
  if (config.squeeze_excite) last = add_squeeze_excite(graph, config, block, channels, last);
  if (config.skip && conv.in_channels == channels && conv.stride == Extent{1, 1}) {
    last = graph.add(block + ".sum", Add{}, {last, input});
  }
  return add_activation(graph, config, block, channels, last);
}

void check(const PlainCnnConfig& config) {
  check_fields(config, "[plain_cnn] ");
  if (config.widths.empty() || config.widths.size() != config.strides.size()) {
    throw Error(concat("[plain_cnn] widths has ", config.widths.size(), " entries and strides ",
                       config.strides.size(), "; expected the same number, at least 1"));
  }
  if (config.squeeze_excite && config.activation == "se_relu") {
    throw Error(
        "[plain_cnn] squeeze_excite is set and activation is se_relu; expected one of both");
  }
  const auto& known = plain_cnn_activations();
  if (std::find(known.begin(), known.end(), config.activation) == known.end()) {
    std::string names;
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    throw Error(
        concat("[plain_cnn] activation is ", config.activation, "; expected one of ", names));
  }
}

}  // namespace

const std::vector<std::string>& plain_cnn_activations() {
  static const std::vector<std::string> names{
      "relu", "gelu", "se_relu", "silu", "dynamic_shift_max", "dynamic_relu_a", "dynamic_relu_b"};
  return names;
}

Graph plain_cnn_graph(const PlainCnnConfig& config) {
  check(config);
  Graph graph;
  NodeId last = graph.add("input", Input{config.in_channels}, {});
  last = add_block(graph, config, "stem",
                   same_conv(config.in_channels, config.stem_width, 3, 2, 1, true), last);
  graph.features.push_back(last);
  std::int64_t width = config.stem_width;
  for (std::size_t pair = 0; pair < config.widths.size(); ++pair) {
    const std::string name = concat("pair", pair + 1);
    const std::int64_t out = config.widths[pair];
    last = add_block(graph, config, name + ".depthwise",
                     same_conv(width, width, 3, config.strides[pair], width, true), last);
    last =
        add_block(graph, config, name + ".pointwise", same_conv(width, out, 1, 1, 1, true), last);
    width = out;
  }
  graph.features.push_back(last);
  last = graph.add("gap", GlobalAvgPool{}, {last});
  graph.output = graph.add("linear", Linear{width, config.num_classes, true}, {last});
  return graph;
}

}  // namespace mobileone
