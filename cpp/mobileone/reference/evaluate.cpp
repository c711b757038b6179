#include "mobileone/reference/evaluate.hpp"

#include "mobileone/base/error.hpp"
#include "mobileone/reference/parallel.hpp"

namespace mobileone::reference {

namespace {

// One call per operator. A new operator needs one function here and one in local_deviation.cpp.
struct Apply {
  const Evaluator& evaluator;
  NodeId id;
  const std::vector<const ReferenceTensor*>& inputs;
  const Rounding& rounding;
  RunningStatistics* updated;

  const Node& node() const { return evaluator.network.graph.node(id); }
  const Shape& shape() const { return evaluator.shapes[static_cast<std::size_t>(id)]; }

  Values weight(const std::string& suffix) const {
    Values values = evaluator.weight(id, suffix);
    rounding.weight(node().name + "." + suffix, values);
    return values;
  }

  ReferenceTensor operator()(const Input&) const { return *inputs[0]; }

  ReferenceTensor operator()(const Conv2d& op) const {
    return convolve(*inputs[0], op, weight("weight"), op.bias ? weight("bias") : Values{}, shape(),
                    evaluator.threads);
  }

  ReferenceTensor operator()(const Linear& op) const {
    return multiply_matrix(*inputs[0], op, weight("weight"), op.bias ? weight("bias") : Values{},
                           shape(), evaluator.threads);
  }

  ReferenceTensor operator()(const BatchNorm& op) const {
    const ReferenceTensor& x = *inputs[0];
    ChannelStatistics statistics = evaluator.statistics(id, x);
    if (evaluator.mode == Mode::train) {
      rounding.statistics(node().name, x, statistics);
      if (updated) update(op, statistics);
    }
    Affine affine = evaluator.affine(id, statistics);
    rounding.affine(node().name, statistics, affine);
    return apply_affine(x, affine, evaluator.threads);
  }

  void update(const BatchNorm& op, const ChannelStatistics& batch) const {
    const Shape& in = inputs[0]->shape;
    const auto count = static_cast<double>(element_count(in) / op.channels);
    update(op, "running_mean", batch.mean, 1.0);
    update(op, "running_var", batch.var, count / (count - 1.0));
  }

  void update(const BatchNorm& op, const std::string& suffix, const Values& batch,
              double factor) const {
    Values kept = evaluator.weight(id, suffix);
    Values added = batch, values = batch;
    for (std::size_t c = 0; c < kept.size(); ++c) {
      kept[c] *= 1.0 - op.momentum;
      added[c] *= op.momentum * factor;
      values[c] = kept[c] + added[c];
    }
    const std::string name = node().name + "." + suffix;
    rounding.running(name, kept, added, values);
    (*updated)[name] = std::move(values);
  }

  ReferenceTensor operator()(const Activation& op) const {
    return activate(*inputs[0], op.kind, evaluator.threads);
  }
  ReferenceTensor operator()(const Add&) const { return add(inputs, evaluator.threads); }
  ReferenceTensor operator()(const Multiply&) const {
    return multiply(*inputs[0], *inputs[1], evaluator.threads);
  }
  ReferenceTensor operator()(const DynamicMax& op) const {
    Values coefficients = dynamic_coefficients(op, *inputs[1]);
    rounding.weight(node().name + ".coefficients", coefficients);
    return dynamic_max(*inputs[0], op, coefficients, false, evaluator.threads);
  }
  ReferenceTensor operator()(const GlobalAvgPool&) const {
    return global_average(*inputs[0], evaluator.threads);
  }

  ReferenceTensor operator()(const LayerNorm& op) const {
    const ReferenceTensor& x = *inputs[0];
    RowStatistics statistics = row_statistics(x, op.eps, evaluator.threads);
    rounding.rows(node().name, x, op.eps, statistics);
    return normalize_rows(x, statistics, weight("weight"), weight("bias"), evaluator.threads);
  }

  ReferenceTensor operator()(const Attention& op) const {
    return for_each_sequence(*inputs[0], [&](const ReferenceTensor& x, std::int64_t sequence) {
      ReferenceTensor scores = attention_products(x, op.heads, false, evaluator.threads);
      const double scale = attention_scale(x.shape, op.heads);
      for (double& score : scores.values) score *= scale;
      Values gains(static_cast<std::size_t>(op.heads * x.shape[1]), 1.0);
      rounding.attention(concat(node().name, ".", sequence), x, scores, gains);
      softmax(scores, gains, evaluator.threads);
      return attend(x, scores, false, evaluator.threads);
    });
  }

  ReferenceTensor operator()(const Unfold& op) const {
    return unfold(*inputs[0], op.patch, shape());
  }
  ReferenceTensor operator()(const Fold& op) const { return fold(*inputs[0], op.patch, shape()); }
  ReferenceTensor operator()(const Concat&) const { return join(inputs, shape()); }

  ReferenceTensor operator()(const Resize&) const {
    const ReferenceTensor& x = *inputs[0];
    if (x.shape == shape()) return x;
    Interpolation rows(x.shape[2], shape()[2]), columns(x.shape[3], shape()[3]);
    rounding.interpolation(node().name, "rows", rows);
    rounding.interpolation(node().name, "columns", columns);
    return interpolate(x, rows, columns, evaluator.threads);
  }

  ReferenceTensor operator()(const Dropout& op) const {
    if (evaluator.mode == Mode::eval || op.p == 0.0) return *inputs[0];
    Values scale{1.0 / (1.0 - op.p)};
    rounding.weight(node().name + ".scale", scale);
    return drop(*inputs[0], evaluator.dropout_seed, node().name, op.p, scale[0]);
  }
};

}  // namespace

Evaluator::Evaluator(const Network& net, const Shape& input_shape, Mode m, int thread_count,
                     std::uint64_t seed)
    : network(net),
      shapes(infer_shapes(net.graph, input_shape)),
      mode(m),
      threads(resolve_threads(thread_count)),
      dropout_seed(seed) {}

ReferenceTensor Evaluator::evaluate(NodeId id, const std::vector<const ReferenceTensor*>& inputs,
                                    const Rounding& rounding, RunningStatistics* updated) const {
  return std::visit(Apply{*this, id, inputs, rounding, updated}, network.graph.node(id).op);
}

Values Evaluator::weight(NodeId id, const std::string& suffix) const {
  const Node& node = network.graph.node(id);
  const std::string name = node.name + "." + suffix;
  const Tensor& found = network.weight(name);
  for (const Parameter& parameter : parameters(node.name, node.op)) {
    if (parameter.name == name && parameter.shape != found.shape()) {
      throw Error(concat("[reference] weight ", name, " has shape ", to_string(found.shape()),
                         "; expected ", to_string(parameter.shape)));
    }
  }
  return found.to_doubles();
}

ChannelStatistics Evaluator::statistics(NodeId id, const ReferenceTensor& x) const {
  if (mode == Mode::eval) return {weight(id, "running_mean"), weight(id, "running_var")};
  const Node& node = network.graph.node(id);
  if (element_count(x.shape) < 2 * x.shape[1]) {
    throw Error(concat("[BatchNorm] ", node.name, ": input has shape ", to_string(x.shape),
                       "; train mode needs more than one value per channel"));
  }
  return channel_statistics(x, threads);
}

Affine Evaluator::affine(NodeId id, const ChannelStatistics& statistics) const {
  const auto& op = std::get<BatchNorm>(network.graph.node(id).op);
  return reference::affine(weight(id, "weight"), weight(id, "bias"), statistics, op.eps);
}

Schedule::Schedule(const Graph& graph, const std::vector<NodeId>& outputs)
    : needed(graph.nodes().size(), false), dead_after(graph.nodes().size()) {
  std::vector<bool> kept(needed.size(), false);
  for (NodeId output : outputs) {
    if (output < 0 || output >= static_cast<NodeId>(needed.size())) {
      throw Error(
          concat("[reference] output ", output, " is not a node; the graph has ", needed.size()));
    }
    needed[static_cast<std::size_t>(output)] = kept[static_cast<std::size_t>(output)] = true;
  }
  // Backwards: the first needed reader that is met is the last one to run.
  std::vector<bool> seen(needed.size(), false);
  for (std::size_t id = needed.size(); id-- > 0;) {
    if (!needed[id]) continue;
    for (NodeId input : graph.nodes()[id].inputs) {
      const auto at = static_cast<std::size_t>(input);
      needed[at] = true;
      if (!seen[at] && !kept[at]) dead_after[id].push_back(input);
      seen[at] = true;
    }
  }
}

}  // namespace mobileone::reference
