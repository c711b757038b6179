#include "mobileone/engine.hpp"

#include "mobileone/backends/fused/backend.hpp"
#include "mobileone/backends/onednn/library.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/plan/threading.hpp"

namespace mobileone {

namespace {

// oneDNN's backend, loaded with the first operator that no other one takes.
class OnednnOnDemand : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    return onednn::library().backend().emit(ops, at, builder);
  }
  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return onednn::library().backend().reorder(from, to, builder);
  }
};

const OnednnOnDemand onednn_on_demand;

void check_threads(int threads) {
  if (threads < 1) throw Error(concat("[compile] threads is ", threads, "; expected at least 1"));
}

}  // namespace

std::shared_ptr<const Plan> compile(std::shared_ptr<const Network> network,
                                    std::shared_ptr<WeightCache> weights, const Shape& input_shape,
                                    const CompileOptions& options) {
  check_threads(options.threads);
  std::shared_ptr<const Plan> plan;
  const auto make = [&] {
    std::vector<const Backend*> backends;
    if (options.fused && fused::backend()) backends.push_back(fused::backend());
    backends.push_back(&onednn_on_demand);
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

std::shared_ptr<const Plan> restore(const Graph& graph, MappedWeights weights,
                                    const Shape& input_shape, const CompileOptions& options) {
  check_threads(options.threads);
  if (!fused::backend()) throw NotSupported("[plan] this CPU has no AVX2 and FMA; expected both");
  const auto network = std::make_shared<const Network>(Network{graph, {}});
  return std::make_shared<const Plan>(network, std::make_shared<WeightCache>(std::move(weights)),
                                      input_shape, options,
                                      std::vector<const Backend*>{fused::backend()});
}

}  // namespace mobileone
