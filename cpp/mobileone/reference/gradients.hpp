// Gradients of a whole graph in float64, by every operator's vector-Jacobian product: the slow,
// obvious reference of training.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mobileone/reference/evaluate.hpp"

namespace mobileone {

// The derivatives of a scalar.
struct ReferenceGradients {
  // By every trainable parameter of the graph, by its name, of its shape.
  std::map<std::string, ReferenceTensor> weights;
  // By what was given to every input, by its name.
  ReferenceInputs inputs;
};

// A forward that keeps every result, so that gradients can go back through it.
class ReferencePass {
 public:
  // Runs all nodes; throws Error as reference_forward does. `network` must outlive the pass.
  ReferencePass(const Network& network, const ReferenceInputs& inputs, Mode mode = Mode::train,
                int threads = 0, std::uint64_t dropout_seed = 0);

  const ReferenceTensor& result(NodeId id) const;
  // The running statistics that the step leaves; none in eval mode.
  const RunningStatistics& statistics() const { return statistics_; }

  // The gradients of a scalar whose derivatives by the results of some nodes, through whatever is
  // computed from them outside of the graph, are `by_result`. Throws Error where one has another
  // shape than its node's result.
  ReferenceGradients backward(const std::map<NodeId, ReferenceTensor>& by_result) const;

 private:
  void add(std::vector<ReferenceTensor>& by_result, NodeId id, ReferenceTensor gradient) const;

  reference::Evaluator evaluator_;
  std::vector<ReferenceTensor> results_;
  RunningStatistics statistics_;
};

struct ReferenceLoss {
  double loss = 0.0;
  ReferenceGradients gradients;
  RunningStatistics statistics;  // as the step leaves them
};

// One training step's cross entropy (reference/cross_entropy.hpp) of the graph's main result
// [N, classes] and its gradients, without an update.
ReferenceLoss reference_loss(const Network& network, const ReferenceInputs& inputs,
                             const ReferenceTensor& targets, double label_smoothing = 0.0,
                             Mode mode = Mode::train, int threads = 0,
                             std::uint64_t dropout_seed = 0);

}  // namespace mobileone
