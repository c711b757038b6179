#include "mobileone/engine.hpp"

#include "mobileone/base/error.hpp"
#include "mobileone/fused/backend.hpp"
#include "mobileone/onednn/backend.hpp"
#include "mobileone/plan/threading.hpp"

namespace mobileone {

std::shared_ptr<const Plan> compile(std::shared_ptr<const Network> network,
                                    std::shared_ptr<WeightCache> weights, const Shape& input_shape,
                                    const CompileOptions& options) {
  if (options.threads < 1) {
    throw Error(concat("[compile] threads is ", options.threads, "; expected at least 1"));
  }
  std::shared_ptr<const Plan> plan;
  const auto make = [&] {
    std::vector<const Backend*> backends;
    if (options.fused && fused::backend()) backends.push_back(fused::backend());
    backends.push_back(&onednn::backend());
    plan = std::make_shared<const Plan>(std::move(network), std::move(weights), input_shape,
                                        options, backends);
  };
  if (needs_fresh_team(options.threads)) {
    run_on_fresh_team(make);
  } else {
    make();
  }
  return plan;
}

}  // namespace mobileone
