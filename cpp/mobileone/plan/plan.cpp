#include "mobileone/plan/plan.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "mobileone/base/error.hpp"
#include "mobileone/base/pages.hpp"
#include "mobileone/base/thread_pool.hpp"
#include "mobileone/graph/ascending.hpp"
#include "mobileone/plan/threading.hpp"
#include "mobileone/plan/verbose.hpp"

namespace mobileone {

namespace {

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// From a quarter of a huge page on, what a run walks through is on huge pages: those that it fills
// at once, its rest when it has run so often that a page pays. One start and a run take less.
constexpr std::size_t kPagesFrom = kHugePage / 4;
constexpr int kRunsBeforeJoin = 16;

// Zeros: borders that are kept (keep_borders) start so.
std::shared_ptr<void> allocate_context(std::size_t bytes) {
  if (bytes >= kPagesFrom) return map_pages(bytes, HugePages::filled);
  std::shared_ptr<void> memory = allocate_aligned(bytes);
  std::memset(memory.get(), 0, bytes);
  return memory;
}

}  // namespace

// Everything that a run writes to. One call at a time.
struct Plan::Context {
  explicit Context(const Plan& plan)
      : bytes(plan.arena_bytes_ + plan.scratch_bytes_),
        memory(allocate_context(bytes)),
        buffers(plan.values_, static_cast<std::byte*>(memory.get()),
                static_cast<std::byte*>(memory.get()) + plan.arena_bytes_, plan.threads_) {
    for (const auto& step : plan.steps_) steps.push_back(step->bind(buffers));
  }

  // Sets the nanoseconds of each step.
  void run_timed(std::vector<std::int64_t>& times) {
    std::int64_t before = now_ns();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      steps[i]->run();
      const std::int64_t after = now_ns();
      times[i] = after - before;
      before = after;
    }
  }

  void count_run() {
    if (++runs == kRunsBeforeJoin && bytes >= kPagesFrom) join_last_pages(memory.get(), bytes);
  }

  std::size_t bytes;
  std::shared_ptr<void> memory;
  Buffers buffers;
  std::vector<std::unique_ptr<BoundStep>> steps;
  int runs = 0;
};

Plan::Plan(std::shared_ptr<const Network> network, std::shared_ptr<WeightCache> weights,
           const Shape& input_shape, const CompileOptions& options,
           const std::vector<const Backend*>& backends)
    : network_(options.training ? std::make_shared<const Network>(Network{network->graph, {}})
                                : network),
      weights_(std::move(weights)),
      input_shape_(input_shape),
      threads_(options.threads),
      gradients_(options.gradients),
      outer_loss_(options.outer_loss) {
  PlanBuilder builder(*network, input_shape, options, *weights_, backends);
  const std::vector<LoweredOp> ops = lower(network_->graph, options.outputs, options.gradients);
  for (std::size_t at = 0; at < ops.size();) {
    std::size_t taken = 0;
    for (const Backend* backend : backends) {
      taken = builder.emit(*backend, ops, at);
      if (taken > 0 && !backend->storable() && not_storable_.empty()) {
        not_storable_ = builder.node(ops[at].node).name;
      }
      if (taken > 0) break;
    }
    if (taken == 0) {
      const Node& node = builder.node(ops[at].node);
      throw NotSupported(concat("[plan] ", node.name, ": no backend runs ", kind_name(node.op)));
    }
    at += taken;
  }
  builder.finish_outputs();
  if (options.gradients) builder.differentiate();

  bfloat16_nodes_ = std::move(builder.bfloat16_nodes);
  if (options.arithmetic != PlanArithmetic::float32 && bfloat16_nodes_.empty()) {
    throw NotSupported(
        "[compile] dtype is 'bfloat16': this network has no stem, no block (depthwise, then 1x1 "
        "convolution) and no large classifier for its kernels; expected 'float32'");
  }
  outputs_ = std::move(builder.outputs);
  for (const PlanOutput& output : outputs_) output_shapes_.push_back(output.shape);
  parameters_ = std::move(builder.parameters);
  for (const std::string& name : parameters_) {
    parameter_shapes_.push_back(network->weight(name).shape());
  }
  parameters_by_name_.resize(parameters_.size());
  std::iota(parameters_by_name_.begin(), parameters_by_name_.end(), std::size_t{0});
  std::sort(parameters_by_name_.begin(), parameters_by_name_.end(),
            [&](std::size_t a, std::size_t b) { return parameters_[a] < parameters_[b]; });
  values_ = std::move(builder.values());
  arena_bytes_ = assign_offsets(values_, builder.lifetimes);
  keep_borders(values_, builder.lifetimes);
  steps_ = std::move(builder.steps);
  packed_weights_ = std::move(builder.packed_weights);
  records_ = std::move(builder.records);
  for (const auto& step : steps_) {
    infos_.push_back(step->info());
    scratch_bytes_ = std::max(scratch_bytes_, step->scratch_bytes());
  }
  release(acquire());  // the first context is made here, not in the first run
}

Plan::~Plan() { release_idle(); }

void Plan::release_idle() const { keep_contexts(0); }

// Frees idle contexts, the last ones first, down to `most`.
void Plan::keep_contexts(std::size_t most) const {
  for (std::size_t slot = idle_.size(); slot-- > 0 && contexts_.load() > most;) {
    const std::unique_ptr<Context> context(idle_[slot].exchange(nullptr));
    if (context) --contexts_;
  }
}

std::vector<std::shared_ptr<const void>> Plan::parameters_of(const Network& network) const {
  std::vector<std::shared_ptr<const void>> storages(parameters_.size());
  AscendingFinder finder(network.weights);
  for (std::size_t i : parameters_by_name_) {
    const Tensor* found = finder.find(parameters_[i]);
    const Tensor& weight = found ? *found : network.weight(parameters_[i]);  // which throws
    if (weight.shape() != parameter_shapes_[i]) {
      throw Error(concat("[plan] weight ", parameters_[i], " has shape ", to_string(weight.shape()),
                         "; expected ", to_string(parameter_shapes_[i])));
    }
    if (weight.dtype() != DType::float32) {
      throw Error(concat("[plan] weight ", parameters_[i], " has dtype ", to_string(weight.dtype()),
                         "; expected float32"));
    }
    storages[i] = weight.storage();
  }
  return storages;
}

std::unique_ptr<Plan::Context> Plan::acquire() const {
  const std::size_t active = active_.fetch_add(1) + 1;
  std::size_t most = most_active_.load();
  while (most < active && !most_active_.compare_exchange_weak(most, active)) {
  }
  for (auto& slot : idle_) {
    if (Context* context = slot.exchange(nullptr)) return std::unique_ptr<Context>(context);
  }
  try {
    auto made = std::make_unique<Context>(*this);
    ++contexts_;
    return made;
  } catch (...) {
    --active_;
    throw;
  }
}

void Plan::release(std::unique_ptr<Context> context) const {
  const std::size_t active = active_.fetch_sub(1) - 1;
  const bool kept = std::any_of(idle_.begin(), idle_.end(), [&](auto& slot) {
    Context* empty = nullptr;
    return slot.compare_exchange_strong(empty, context.get());
  });
  if (kept) {
    context.release();
  } else {
    --contexts_;  // more than 64 calls at once: this one's context is dropped
  }
  if ((runs_.fetch_add(1) + 1) % kWindow == 0) {
    keep_contexts(std::max<std::size_t>(1, most_active_.exchange(active)));
  }
}

template <typename Work>
void Plan::with_context(const RunArguments& arguments, const Work& work) const {
  if (!parameters_.empty() && arguments.parameters == nullptr) {
    throw Error(concat("[plan] a run without parameters; expected ", parameters_.size()));
  }
  if (gradients_ && !outer_loss_ && arguments.targets == nullptr) {
    throw Error("[plan] a run without targets; expected those of the loss");
  }
  if (gradients_ && outer_loss_ && arguments.loss == nullptr) {
    throw Error("[plan] a run without a loss; expected the function");
  }
  const auto body = [&] {
    const ScopedFlushDenormals flush;
    std::unique_ptr<Context> context = acquire();
    context->buffers.arguments = arguments;
    try {
      work(*context);
    } catch (...) {  // its memory is in no known state
      context.reset();
      --contexts_;
      --active_;
      throw;
    }
    context->count_run();
    release(std::move(context));
  };
  if (needs_fresh_team(threads_)) {
    run_on_fresh_team(body);
  } else {
    body();
  }
}

void Plan::run(const RunArguments& arguments) const {
  if (verbose()) {
    std::vector<std::int64_t> times(steps_.size());
    with_context(arguments, [&](Context& context) { context.run_timed(times); });
    return print_steps(infos_, times);
  }
  with_context(arguments, [](Context& context) {
    for (const auto& step : context.steps) step->run();
  });
}

std::vector<std::int64_t> Plan::time(const float* input, float* const* outputs, int runs) const {
  std::vector<std::int64_t> times;
  times.reserve(static_cast<std::size_t>(runs));
  for (int run_index = 0; run_index < runs; ++run_index) {
    const std::int64_t start = now_ns();
    run(input, outputs);
    times.push_back(now_ns() - start);
  }
  return times;
}

PlanProfile Plan::profile(const float* input, float* const* outputs, int runs) const {
  PlanProfile result;
  for (int run_index = 0; run_index < runs; ++run_index) {
    std::vector<std::int64_t> times(steps_.size());
    const std::int64_t start = now_ns();
    with_context({input, outputs}, [&](Context& context) { context.run_timed(times); });
    result.wall_ns.push_back(now_ns() - start);
    result.step_ns.push_back(std::move(times));
  }
  return result;
}

PlanMemory Plan::memory() const {
  return {weights_->bytes(), arena_bytes_, scratch_bytes_, contexts_.load()};
}

}  // namespace mobileone
