#include "mobileone/models/plain_cnn.hpp"

#include <algorithm>

#include "mobileone/base/error.hpp"

namespace mobileone {

namespace {

Conv2d pointwise(std::int64_t in, std::int64_t out) {
  return {in, out, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true};
}

// pool -> 1x1 -> ReLU -> 1x1 -> gate, as in squeeze-and-excitation: [N, C, H, W] -> [N, out, 1, 1].
NodeId add_gate(Graph& graph, const PlainCnnConfig& config, const std::string& name,
                std::int64_t channels, std::int64_t out, ActivationKind kind, NodeId input) {
  const std::int64_t squeezed = std::max<std::int64_t>(1, channels / config.reduction);
  NodeId gate = graph.add(name + ".pool", GlobalAvgPool{}, {input});
  gate = graph.add(name + ".reduce", pointwise(channels, squeezed), {gate});
  gate = graph.add(name + ".relu", Activation{ActivationKind::relu}, {gate});
  gate = graph.add(name + ".expand", pointwise(squeezed, out), {gate});
  return graph.add(name + ".gate", Activation{kind}, {gate});
}

NodeId add_squeeze_excite(Graph& graph, const PlainCnnConfig& config, const std::string& block,
                          std::int64_t channels, NodeId input) {
  const std::string name = block + ".se";
  const NodeId gate =
      add_gate(graph, config, name, channels, channels, ActivationKind::sigmoid, input);
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
  const NodeId gate =
      add_gate(graph, config, block + ".act", channels, op.coefficients(), gate_kind, input);
  return graph.add(block + ".act", op, {input, gate});
}

NodeId add_activation(Graph& graph, const PlainCnnConfig& config, const std::string& block,
                      std::int64_t channels, NodeId input) {
  const auto add = [&](ActivationKind kind, NodeId from) {
    return graph.add(block + ".act", Activation{kind}, {from});
  };
  if (config.activation == "relu") return add(ActivationKind::relu, input);
  if (config.activation == "gelu") return add(ActivationKind::gelu, input);
  if (config.activation == "silu") return add(ActivationKind::silu, input);
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

Conv2d spatial(std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t groups) {
  return {in, out, {3, 3}, {stride, stride}, {1, 1}, {1, 1}, groups, true};
}

void check_positive(std::int64_t value, const std::string& field) {
  if (value < 1) throw Error(concat("[plain_cnn] ", field, " is ", value, "; expected at least 1"));
}

void check(const PlainCnnConfig& config) {
  check_positive(config.in_channels, "in_channels");
  check_positive(config.num_classes, "num_classes");
  check_positive(config.stem_width, "stem_width");
  check_positive(config.reduction, "reduction");
  check_positive(config.groups, "groups");
  if (config.widths.empty() || config.widths.size() != config.strides.size()) {
    throw Error(concat("[plain_cnn] widths has ", config.widths.size(), " entries and strides ",
                       config.strides.size(), "; expected the same number, at least 1"));
  }
  for (std::int64_t width : config.widths) check_positive(width, "widths");
  for (std::int64_t stride : config.strides) check_positive(stride, "strides");
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
  last =
      add_block(graph, config, "stem", spatial(config.in_channels, config.stem_width, 2, 1), last);
  graph.features.push_back(last);
  std::int64_t width = config.stem_width;
  for (std::size_t pair = 0; pair < config.widths.size(); ++pair) {
    const std::string name = concat("pair", pair + 1);
    const std::int64_t out = config.widths[pair];
    last = add_block(graph, config, name + ".depthwise",
                     spatial(width, width, config.strides[pair], width), last);
    last = add_block(graph, config, name + ".pointwise", pointwise(width, out), last);
    width = out;
  }
  graph.features.push_back(last);
  last = graph.add("gap", GlobalAvgPool{}, {last});
  graph.output = graph.add("linear", Linear{width, config.num_classes, true}, {last});
  return graph;
}

}  // namespace mobileone
