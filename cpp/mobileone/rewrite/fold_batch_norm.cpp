#include <cmath>

#include "mobileone/rewrite/copy.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone {

namespace {

// A batch norm in inference is y = gain * x + shift, per channel.
struct Affine {
  std::vector<double> gain, shift;
};

// A depthwise 1x1 convolution is one, too.
bool is_scale(const Op& op) {
  const auto* conv = std::get_if<Conv2d>(&op);
  return conv && conv->depthwise() && conv->kernel == Extent{1, 1} &&
         conv->stride == Extent{1, 1} && conv->padding == Extent{0, 0};
}

Affine scale_of(const Network& network, const std::string& name, const Conv2d& op) {
  Affine result{network.weight(name + ".weight").to_doubles(),
                std::vector<double>(static_cast<std::size_t>(op.out_channels))};
  if (op.bias) result.shift = network.weight(name + ".bias").to_doubles();
  return result;
}

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

// One convolution in place of `after`, which does that to the convolution's results.
void fold_into_conv(GraphCopy& copy, const Affine& bn, NodeId after, NodeId convolution) {
  const Network& source = copy.source();
  const Node& conv_node = source.graph.node(convolution);
  Conv2d conv = std::get<Conv2d>(conv_node.op);

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
  copy.replace(after, conv_node.name, conv, conv_node.inputs);
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

// The node that a convolution is made with: its only reader, if folds(its operator); else -1.
template <typename Folds>
NodeId made_with(const GraphCopy& copy, NodeId id, const Folds& folds) {
  const Graph& graph = copy.source().graph;
  if (!std::holds_alternative<Conv2d>(graph.node(id).op)) return -1;
  const NodeId reader = copy.only_reader(id);
  return reader >= 0 && folds(graph.node(reader).op) ? reader : -1;
}

// A convolution's part of the norm of a concatenation by channels, of convolutions that nothing
// else reads.
struct JoinedNorm {
  NodeId norm = -1;
  std::int64_t first = 0;  // its channels among the norm's
};

JoinedNorm joined_norm(const GraphCopy& copy, NodeId id) {
  const Graph& graph = copy.source().graph;
  const NodeId join = std::holds_alternative<Conv2d>(graph.node(id).op) ? copy.only_reader(id) : -1;
  const auto* concat = join < 0 ? nullptr : std::get_if<Concat>(&graph.node(join).op);
  if (concat == nullptr || concat->axis != 1) return {};
  const NodeId norm = copy.only_reader(join);
  if (norm < 0 || !std::holds_alternative<BatchNorm>(graph.node(norm).op)) return {};
  JoinedNorm found{norm, -1};
  std::int64_t channels = 0;
  for (NodeId input : graph.node(join).inputs) {
    const auto* conv = std::get_if<Conv2d>(&graph.node(input).op);
    if (conv == nullptr || copy.only_reader(input) != join) return {};
    if (input == id) found.first = channels;
    channels += conv->out_channels;
  }
  return found;
}

// The norm of these channels alone.
Affine part_of(const Affine& norm, std::int64_t first, std::int64_t count) {
  const auto part = [&](const std::vector<double>& all) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
    return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(count));
  };
  return {part(norm.gain), part(norm.shift)};
}

}  // namespace

Network fold_batch_norm(const Network& network) {
  GraphCopy copy(network);
  const auto norm_after = [&](NodeId id) {
    return made_with(copy, id, [](const Op& op) { return std::holds_alternative<BatchNorm>(op); });
  };
  // Of a norm's input: whether the norm is in the convolutions that it joins.
  const auto is_joined = [&](NodeId id) {
    const Node& join = network.graph.node(id);
    return std::holds_alternative<Concat>(join.op) && joined_norm(copy, join.inputs[0]).norm >= 0;
  };
  for (NodeId id = 0; id < static_cast<NodeId>(network.graph.nodes().size()); ++id) {
    const Node& node = network.graph.node(id);
    if (norm_after(id) >= 0) continue;  // made with its batch norm
    if (const JoinedNorm joined = joined_norm(copy, id); joined.norm >= 0) {
      const Node& norm = network.graph.node(joined.norm);
      const Affine all = affine(network, norm.name, std::get<BatchNorm>(norm.op));
      const std::int64_t count = std::get<Conv2d>(node.op).out_channels;
      fold_into_conv(copy, part_of(all, joined.first, count), id, id);
      continue;
    }
    if (std::holds_alternative<Dropout>(node.op)) {
      copy.map(id, copy.mapped(node.inputs[0]));
    } else if (!std::holds_alternative<BatchNorm>(node.op)) {
      copy.keep(id);
    } else if (is_joined(node.inputs[0])) {
      copy.map(id, copy.mapped(node.inputs[0]));
    } else if (norm_after(node.inputs[0]) >= 0) {
      const Affine bn = affine(network, node.name, std::get<BatchNorm>(node.op));
      fold_into_conv(copy, bn, id, node.inputs[0]);
    } else {
      turn_into_conv(copy, id);
    }
  }
  return std::move(copy).finish();
}

Network fold_scales(const Network& network) {
  GraphCopy copy(network);
  const Graph& graph = network.graph;
  // A chain is folded from its end.
  const auto scale_after = [&](NodeId id) { return made_with(copy, id, is_scale); };
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id) {
    const Node& node = graph.node(id);
    const NodeId scale = scale_after(id);
    if (scale >= 0 && scale_after(scale) < 0) continue;  // made with its scale
    const bool folds = is_scale(node.op) && scale < 0 && scale_after(node.inputs[0]) == id;
    if (folds) {
      fold_into_conv(copy, scale_of(network, node.name, std::get<Conv2d>(node.op)), id,
                     node.inputs[0]);
    } else {
      copy.keep(id);
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
