// The engine as its users see it: compile a network with every backend of this build.
#pragma once

#include <memory>

#include "mobileone/plan/plan.hpp"

namespace mobileone {

// How often a plan is run: for `one`, weights are read where they lie, where packing them would
// take longer than it saves. Not of training.
enum class Runs { many, one };

// Throws Error when the input shape or the outputs do not fit the graph, NotSupported when no
// backend runs an operator.
std::shared_ptr<const Plan> compile(std::shared_ptr<const Network> network,
                                    std::shared_ptr<WeightCache> weights, const Shape& input_shape,
                                    const CompileOptions& options, Runs runs = Runs::many);

// One pass in train mode: runs a training plan on the weights of `network`, writes all outputs but
// the batch statistics (`outputs` is as long as there are such in plan.outputs(), in that order:
// wanted values, loss, gradients), and returns the network whose running statistics have moved
// towards the batch's. A plan with gradients needs `targets`, or `loss` where it has an outer one.
// Throws Error when `network` is not of the plan's graph.
Network train_forward(const Plan& plan, const Network& network, const float* input,
                      const std::vector<float*>& outputs, std::uint64_t dropout_seed,
                      const float* targets = nullptr, const OuterLoss* loss = nullptr);

// The plan that was stored with these packed weights and records, for a graph without weights.
// Throws Error when anything of it does not fit, NotSupported when it needs another backend.
std::shared_ptr<const Plan> restore(const Graph& graph,
                                    std::shared_ptr<const MappedWeights> weights,
                                    const Shape& input_shape, const CompileOptions& options);

}  // namespace mobileone
