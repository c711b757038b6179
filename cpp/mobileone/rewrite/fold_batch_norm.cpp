#include <cmath>

#include "mobileone/rewrite/copy.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone {

namespace {

// A batch norm in inference is y = gain * x + shift, per channel.
struct Affine {
  std::vector<double> gain, shift;
};

Affine affine(const Network& network, const std::string& name, const BatchNorm& op) {
  const std::vector<double> gamma = network.weight(name + ".weight").to_doubles();
  const std::vector<double> beta = network.weight(name + ".bias").to_doubles();
  const std::vector<double> mean = network.weight(name + ".running_mean").to_doubles();
  const std::vector<double> var = network.weight(name + ".running_var").to_doubles();
  Affine result{gamma, beta};
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    result.gain[c] = gamma[c] / std::sqrt(var[c] + op.eps);
    result.shift[c] = beta[c] - mean[c] * result.gain[c];
  }
  return result;
}

void fold_into_conv(GraphCopy& copy, NodeId batch_norm, NodeId convolution) {
  const Network& source = copy.source();
  const Node& bn_node = source.graph.node(batch_norm);
  const Node& conv_node = source.graph.node(convolution);
  Conv2d conv = std::get<Conv2d>(conv_node.op);
  const Affine bn = affine(source, bn_node.name, std::get<BatchNorm>(bn_node.op));

  const Tensor& kernel = source.weight(conv_node.name + ".weight");
  std::vector<double> weight = kernel.to_doubles();
  std::vector<double> bias = bn.shift;
  const std::size_t per_channel = weight.size() / bias.size();
  for (std::size_t i = 0; i < weight.size(); ++i) weight[i] *= bn.gain[i / per_channel];
  if (conv.bias) {
    const std::vector<double> old = source.weight(conv_node.name + ".bias").to_doubles();
    for (std::size_t c = 0; c < bias.size(); ++c) bias[c] += old[c] * bn.gain[c];
  }
  conv.bias = true;
  copy.replace(batch_norm, conv_node.name, conv, conv_node.inputs);
  copy.set_weight(conv_node.name + ".weight",
                  Tensor::from_doubles(kernel.shape(), weight, DType::float64));
  copy.set_weight(conv_node.name + ".bias",
                  Tensor::from_doubles({conv.out_channels}, bias, DType::float64));
}

void turn_into_conv(GraphCopy& copy, NodeId batch_norm) {
  const Node& node = copy.source().graph.node(batch_norm);
  const auto& op = std::get<BatchNorm>(node.op);
  const Affine bn = affine(copy.source(), node.name, op);
  const Conv2d conv{op.channels, op.channels, {1, 1}, {1, 1}, {0, 0}, {1, 1}, op.channels, true};
  copy.replace(batch_norm, node.name, conv, node.inputs);
  copy.set_weight(node.name + ".weight",
                  Tensor::from_doubles({op.channels, 1, 1, 1}, bn.gain, DType::float64));
  copy.set_weight(node.name + ".bias",
                  Tensor::from_doubles({op.channels}, bn.shift, DType::float64));
}

bool is_folded_convolution(const GraphCopy& copy, const std::vector<std::vector<NodeId>>& consumers,
                           NodeId id) {
  const Graph& graph = copy.source().graph;
  if (!std::holds_alternative<Conv2d>(graph.node(id).op)) return false;
  const auto& readers = consumers[static_cast<std::size_t>(id)];
  return readers.size() == 1 && copy.read_only_by(id, readers[0]) &&
         std::holds_alternative<BatchNorm>(graph.node(readers[0]).op);
}

}  // namespace

Network fold_batch_norm(const Network& network) {
  GraphCopy copy(network);
  const auto consumers = network.graph.consumers();
  for (NodeId id = 0; id < static_cast<NodeId>(network.graph.nodes().size()); ++id) {
    const Node& node = network.graph.node(id);
    if (is_folded_convolution(copy, consumers, id)) continue;  // made with its batch norm
    if (std::holds_alternative<Dropout>(node.op)) {
      copy.map(id, copy.mapped(node.inputs[0]));
    } else if (!std::holds_alternative<BatchNorm>(node.op)) {
      copy.keep(id);
    } else if (is_folded_convolution(copy, consumers, node.inputs[0])) {
      fold_into_conv(copy, id, node.inputs[0]);
    } else {
      turn_into_conv(copy, id);
    }
  }
  return std::move(copy).finish();
}

bool is_inference_form(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    if (std::holds_alternative<BatchNorm>(node.op) || std::holds_alternative<Dropout>(node.op)) {
      return false;
    }
  }
  return true;
}

}  // namespace mobileone
