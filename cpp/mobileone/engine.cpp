#include "mobileone/engine.hpp"

#include "mobileone/backends/fused/backend.hpp"
#include "mobileone/backends/loops/backend.hpp"
#include "mobileone/backends/onednn/covered.hpp"
#include "mobileone/backends/onednn/library.hpp"
#include "mobileone/backends/single_run/backend.hpp"
#include "mobileone/backends/training/backend.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/plan/threading.hpp"
#include "mobileone/train/running_statistics.hpp"

namespace mobileone {

namespace {

// oneDNN's backend, loaded with the first operator that it covers and no faster one takes.
class OnednnOnDemand : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    if (!onednn::covers(builder.node(ops[at].node).op, builder.shape(ops[at].result))) return 0;
    return onednn::library().backend().emit(ops, at, builder);
  }
  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return onednn::library().backend().reorder(from, to, builder);
  }
};

const OnednnOnDemand onednn_on_demand;

// Only what brings results into the caller's order: it has neither weights nor a record.
class LoopReorders : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>&, std::size_t, PlanBuilder&) const override {
    return 0;
  }
  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return loops::backend().reorder(from, to, builder);
  }
};

const LoopReorders loop_reorders;

// What stands between the convolutions of a single run, on its threads and in its layout: oneDNN's
// threads would wait for work beside them.
class LoopsBetween : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    const Op& op = builder.node(ops[at].node).op;
    const bool small =
        std::holds_alternative<GlobalAvgPool>(op) || std::holds_alternative<Multiply>(op);
    return small ? loops::backend().emit(ops, at, builder) : 0;
  }
  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return loops::backend().reorder(from, to, builder);
  }
};

const LoopsBetween loops_between;

// In the order in which they are asked; loops take whatever is left. Gradients come from backends
// whose sums are split by shapes alone, never by the number of threads.
std::vector<const Backend*> backends_for(const CompileOptions& options, Runs runs) {
  const BackendChoice choice = options.backend;
  std::vector<const Backend*> backends;
  if (options.training && choice == BackendChoice::automatic && training::backend()) {
    backends.push_back(training::backend());
  }
  if (options.gradients) {
    backends.push_back(&loops::backend());
    return backends;
  }
  if (runs == Runs::one && choice == BackendChoice::automatic && single_run::backend()) {
    backends.push_back(single_run::backend());
    backends.push_back(&loops_between);
  }
  if (choice == BackendChoice::automatic && fused::backend()) backends.push_back(fused::backend());
  if (choice != BackendChoice::loops) backends.push_back(&onednn_on_demand);
  backends.push_back(&loops::backend());
  return backends;
}

void check_threads(int threads) {
  if (threads < 1) throw Error(concat("[compile] threads is ", threads, "; expected at least 1"));
}

}  // namespace

std::shared_ptr<const Plan> compile(std::shared_ptr<const Network> network,
                                    std::shared_ptr<WeightCache> weights, const Shape& input_shape,
                                    const CompileOptions& options, Runs runs) {
  check_threads(options.threads);
  if (runs == Runs::one &&
      (options.training || options.records || options.arithmetic != PlanArithmetic::float32)) {
    throw Error("[compile] a single run of a plan in training, stored, or not in float32");
  }
  std::shared_ptr<const Plan> plan;
  const auto make = [&] {
    plan = std::make_shared<const Plan>(std::move(network), std::move(weights), input_shape,
                                        options, backends_for(options, runs));
  };
  if (needs_fresh_team(options.threads)) {
    run_on_fresh_team(make);
  } else {
    make();
  }
  return plan;
}

Network train_forward(const Plan& plan, const Network& network, const float* input,
                      const std::vector<float*>& outputs, std::uint64_t dropout_seed,
                      const float* targets, const OuterLoss* loss) {
  const auto parameters = plan.parameters_of(network);
  std::vector<float*> pointers;
  std::size_t given = 0;
  std::int64_t floats = 0;
  for (const PlanOutput& output : plan.outputs()) {
    if (output.is_statistic()) floats += element_count(output.shape);
  }
  std::vector<float> measured(static_cast<std::size_t>(floats));
  float* next = measured.data();
  std::vector<BatchStatistics> batch;
  for (const PlanOutput& output : plan.outputs()) {
    if (!output.is_statistic()) {
      pointers.push_back(outputs.at(given++));
      continue;
    }
    // A batch norm's outputs are neighbours.
    if (batch.empty() || batch.back().node != output.node) {
      batch.push_back({output.node, output.count, nullptr, nullptr});
    }
    const bool mean = output.kind == PlanOutput::Kind::batch_mean;
    (mean ? batch.back().mean : batch.back().variance) = next;
    pointers.push_back(next);
    next += element_count(output.shape);
  }
  plan.run({input, pointers.data(), parameters.data(), dropout_seed, targets, loss});
  return update_running_statistics(network, batch);
}

std::shared_ptr<const Plan> restore(const Graph& graph,
                                    std::shared_ptr<const MappedWeights> weights,
                                    const Shape& input_shape, const CompileOptions& options) {
  check_threads(options.threads);
  if (!fused::backend()) throw NotSupported("[plan] this CPU has no AVX2 and FMA; expected both");
  const auto network = std::make_shared<const Network>(Network{graph, {}});
  return std::make_shared<const Plan>(
      network, std::make_shared<WeightCache>(std::move(weights)), input_shape, options,
      std::vector<const Backend*>{fused::backend(), &loop_reorders});
}

}  // namespace mobileone
