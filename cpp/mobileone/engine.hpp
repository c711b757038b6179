// The engine as its users see it: compile a network with every backend of this build.
#pragma once

#include <memory>

#include "mobileone/plan/plan.hpp"

namespace mobileone {

// Throws Error when the input shape or the outputs do not fit the graph, NotSupported when no
// backend runs an operator.
std::shared_ptr<const Plan> compile(std::shared_ptr<const Network> network,
                                    std::shared_ptr<WeightCache> weights, const Shape& input_shape,
                                    const CompileOptions& options);

// The plan that was stored with these packed weights and records, for a graph without weights.
// Throws Error when anything of it does not fit, NotSupported when it needs another backend.
std::shared_ptr<const Plan> restore(const Graph& graph, MappedWeights weights,
                                    const Shape& input_shape, const CompileOptions& options);

}  // namespace mobileone
