// Steps of a training plan that bring weights, which are parameters of a run, into another order.
#pragma once

#include <functional>

#include "mobileone/plan/step.hpp"

namespace mobileone {

// Brings weights into another order: from the arrays of `sources` to `packed`.
using Pack = std::function<void(const float* const* sources, float* packed)>;

// pack(sources, result) in every run, on the calling thread.
std::unique_ptr<Step> pack_step(const std::string& name, const std::vector<Operand>& sources,
                                const Value& value, ValueId result, const Pack& pack);

// `step` in every run in which one of the parameters in `slots` is another tensor than in the run
// before of the same context: its result stays there.
std::unique_ptr<Step> when_changed(std::unique_ptr<Step> step, std::vector<std::size_t> slots);

// What profile() prints of such a step.
StepInfo pack_info(const std::string& name, const std::string& implementation, const Value& value);

}  // namespace mobileone
