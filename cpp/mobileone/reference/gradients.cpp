#include "mobileone/reference/gradients.hpp"

#include "mobileone/base/error.hpp"
#include "mobileone/reference/cross_entropy.hpp"
#include "mobileone/reference/operator.hpp"

namespace mobileone {

using reference::to_index;

namespace {

ReferenceGradients zero_gradients(const Graph& graph) {
  ReferenceGradients result;
  for (const Parameter& parameter : parameters(graph)) {
    if (parameter.trainable) result.weights[parameter.name] = reference::zeros(parameter.shape);
  }
  return result;
}

}  // namespace

ReferencePass::ReferencePass(const Network& network, const ReferenceInputs& inputs, Mode mode,
                             int threads, std::uint64_t dropout_seed)
    : evaluator_(network, inputs, mode, threads, dropout_seed),
      results_(network.graph.nodes().size()) {
  for (std::size_t i = 0; i < results_.size(); ++i) {
    const auto id = static_cast<NodeId>(i);
    results_[i] =
        evaluator_.evaluate(id, evaluator_.inputs_of(id, results_), nullptr, &statistics_);
  }
}

const ReferenceTensor& ReferencePass::result(NodeId id) const { return results_.at(to_index(id)); }

void ReferencePass::add(std::vector<ReferenceTensor>& by_result, NodeId id,
                        ReferenceTensor gradient) const {
  const Shape& shape = result(id).shape;
  if (gradient.shape != shape ||
      static_cast<std::int64_t>(gradient.values.size()) != element_count(shape)) {
    throw Error(concat("[reference] gradient by the result of ",
                       evaluator_.network.graph.node(id).name, " has shape ",
                       to_string(gradient.shape), " and ", gradient.values.size(),
                       " values; expected shape ", to_string(shape)));
  }
  ReferenceTensor& sum = by_result[to_index(id)];
  if (sum.values.empty()) {
    sum = std::move(gradient);
    return;
  }
  for (std::size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += gradient.values[i];
}

ReferenceGradients ReferencePass::backward(
    const std::map<NodeId, ReferenceTensor>& by_result) const {
  const Graph& graph = evaluator_.network.graph;
  ReferenceGradients found = zero_gradients(graph);
  std::vector<ReferenceTensor> pending(results_.size());  // empty: nothing depends on it
  for (const auto& [id, gradient] : by_result) add(pending, id, gradient);
  for (std::size_t i = pending.size(); i-- > 0;) {
    const auto id = static_cast<NodeId>(i);
    const Node& node = graph.node(id);
    const bool given = std::holds_alternative<Input>(node.op);
    const ReferenceTensor gradient = std::move(pending[i]);
    if (gradient.shape.empty()) {
      if (given) found.inputs[node.name] = reference::zeros(results_[i].shape);
      continue;
    }
    reference::Gradients local = evaluator_.vjp(id, evaluator_.inputs_of(id, results_), gradient);
    for (auto& [suffix, values] : local.weights) {
      found.weights.at(node.name + "." + suffix).values = std::move(values);
    }
    if (given) found.inputs[node.name] = std::move(local.inputs[0]);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      add(pending, node.inputs[k], std::move(local.inputs[k]));
    }
  }
  return found;
}

ReferenceLoss reference_loss(const Network& network, const ReferenceInputs& inputs,
                             const ReferenceTensor& targets, double label_smoothing, Mode mode,
                             int threads, std::uint64_t dropout_seed) {
  const ReferencePass pass(network, inputs, mode, threads, dropout_seed);
  const NodeId output = network.graph.output;
  const LogitsLoss entropy = cross_entropy(pass.result(output), targets, label_smoothing);
  return {entropy.loss, pass.backward({{output, entropy.gradient}}), pass.statistics()};
}

}  // namespace mobileone
