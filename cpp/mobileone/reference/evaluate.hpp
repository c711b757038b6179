// Evaluation of single nodes: finds a node's weights, applies its operator, and offers every value
// that an fp32 engine rounds once and uses many times to a Rounding.
#pragma once

#include <string>
#include <vector>

#include "mobileone/reference/maps.hpp"
#include "mobileone/reference/operators.hpp"
#include "mobileone/reference/reference.hpp"
#include "mobileone/reference/tokens.hpp"

namespace mobileone::reference {

// What an arithmetic does to values that are shared by many results. This one is exact.
class Rounding {
 public:
  virtual ~Rounding() = default;
  virtual void weight(const std::string& /*name*/, Values& /*values*/) const {}
  // Batch statistics of `x` in train mode.
  virtual void statistics(const std::string& /*node*/, const ReferenceTensor& /*x*/,
                          ChannelStatistics& /*statistics*/) const {}
  virtual void affine(const std::string& /*node*/, const ChannelStatistics& /*statistics*/,
                      Affine& /*affine*/) const {}
  // Of every row of a layer norm's input `x`; eps is the operator's.
  virtual void rows(const std::string& /*node*/, const ReferenceTensor& /*x*/, double /*eps*/,
                    RowStatistics& /*statistics*/) const {}
  // Attention on one sequence: its scaled scores [1, heads, N, N], and the factor of every row of
  // weights.
  virtual void attention(const std::string& /*sequence*/, const ReferenceTensor& /*x*/,
                         ReferenceTensor& /*scores*/, Values& /*gains*/) const {}
  // The places of one axis ("rows" or "columns") of a resize.
  virtual void interpolation(const std::string& /*node*/, const std::string& /*axis*/,
                             Interpolation& /*places*/) const {}
  // values = kept + added: a running statistic's old and new share.
  virtual void running(const std::string& /*name*/, const Values& /*kept*/, const Values& /*added*/,
                       Values& /*values*/) const {}
};

struct Evaluator {
  const Network& network;
  std::vector<Shape> shapes;  // of every node
  Mode mode = Mode::eval;
  int threads = 1;
  std::uint64_t dropout_seed = 0;

  Evaluator(const Network& network, const Shape& input_shape, Mode mode, int threads,
            std::uint64_t dropout_seed = 0);

  // `inputs` are the results of the node's inputs; the network's input is passed to Input nodes.
  ReferenceTensor evaluate(NodeId id, const std::vector<const ReferenceTensor*>& inputs,
                           const Rounding& rounding, RunningStatistics* updated) const;

  // Exact weights; throws Error when the weight is missing or has another shape.
  Values weight(NodeId id, const std::string& suffix) const;
  // The statistics that batch norm `id` normalises with, and what it applies, both exact.
  ChannelStatistics statistics(NodeId id, const ReferenceTensor& x) const;
  Affine affine(NodeId id, const ChannelStatistics& statistics) const;
};

// Which nodes `outputs` depend on, and after which node each result can be freed.
struct Schedule {
  std::vector<bool> needed;
  std::vector<std::vector<NodeId>> dead_after;  // outputs are never freed

  Schedule(const Graph& graph, const std::vector<NodeId>& outputs);
};

}  // namespace mobileone::reference
