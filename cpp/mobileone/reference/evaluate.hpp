// Evaluation of single nodes: shapes, weights and settings that all share.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mobileone/reference/rounding.hpp"

namespace mobileone::reference {

// The inputs of a graph with one; throws Error when it has several.
ReferenceInputs only_input(const Graph& graph, const ReferenceTensor& input);

// The derivatives of a scalar by everything that a node's result depends on.
struct Gradients {
  // By every input, of its shape: zeros by one that only lends its shape.
  std::vector<ReferenceTensor> inputs;
  // By every trainable parameter, as "weight" and "bias" of the node.
  std::map<std::string, Values> weights;
};

struct Evaluator {
  const Network& network;
  ReferenceInputs inputs;
  std::vector<Shape> shapes;  // of every node
  Mode mode = Mode::eval;
  int threads = 1;
  std::uint64_t dropout_seed = 0;

  Evaluator(const Network& network, ReferenceInputs inputs, Mode mode, int threads,
            std::uint64_t dropout_seed = 0);

  // What node `id` reads, given the results of the nodes before it; an Input reads what the network
  // is given.
  std::vector<const ReferenceTensor*> inputs_of(NodeId id,
                                                const std::vector<ReferenceTensor>& results) const;

  // `read` is what inputs_of says; `rounding` is what happens to values that an fp32 engine rounds
  // once and uses many times; null for the exact result.
  ReferenceTensor evaluate(NodeId id, const std::vector<const ReferenceTensor*>& read,
                           const RandomRounding* rounding, RunningStatistics* updated) const;

  // Of a scalar, given its derivatives by node `id`'s result.
  Gradients vjp(NodeId id, const std::vector<const ReferenceTensor*>& read,
                const ReferenceTensor& gradient) const;

  // Exact weights; throws Error when the weight is missing or has another shape.
  Values weight(NodeId id, const std::string& suffix) const;
};

// Standard deviation of the local error of every element of node `id`'s result `y`, given exact
// inputs. Empty when the operator is exact (ReLU, Input).
Values local_deviation(const Evaluator& evaluator, NodeId id,
                       const std::vector<const ReferenceTensor*>& inputs, const ReferenceTensor& y);

// Which nodes `outputs` depend on, and after which node each result can be freed.
struct Schedule {
  std::vector<bool> needed;
  std::vector<std::vector<NodeId>> dead_after;  // outputs are never freed

  Schedule(const Graph& graph, const std::vector<NodeId>& outputs);
};

}  // namespace mobileone::reference
