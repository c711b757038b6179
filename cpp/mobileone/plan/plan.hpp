// Plan: a network compiled for one input shape and thread count. Immutable; run() may be called
// from several threads at once.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "mobileone/plan/builder.hpp"

namespace mobileone {

// Times of `runs` profiled runs, in nanoseconds.
struct PlanProfile {
  std::vector<std::vector<std::int64_t>> step_ns;  // [run][step]
  std::vector<std::int64_t> wall_ns;               // [run]
};

struct PlanMemory {
  std::size_t packed_weights = 0;  // all plans of the network together
  std::size_t arena = 0;           // activations, per context
  std::size_t scratch = 0;         // per context
  std::size_t contexts = 0;        // as many as there were simultaneous runs
};

class Plan {
 public:
  Plan(std::shared_ptr<const Network> network, std::shared_ptr<WeightCache> weights,
       const Shape& input_shape, const CompileOptions& options,
       const std::vector<const Backend*>& backends);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  const std::shared_ptr<const Network>& network() const { return network_; }
  const Shape& input_shape() const { return input_shape_; }
  // What run() writes: the wanted outputs, then batch statistics (training).
  const std::vector<PlanOutput>& outputs() const { return outputs_; }
  const std::vector<Shape>& output_shapes() const { return output_shapes_; }
  // The weights that a run of a training plan reads, and where they lie in `network`. Throws Error
  // when it lacks one, or has one of another shape or type.
  const std::vector<std::string>& parameters() const { return parameters_; }
  std::vector<std::shared_ptr<const void>> parameters_of(const Network& network) const;
  const std::vector<StepInfo>& steps() const { return infos_; }
  int threads() const { return threads_; }
  PlanMemory memory() const;
  // Frees the memory of contexts that no run uses; later runs make new ones. Runs do so by
  // themselves with those that the last kWindow runs had no use for.
  void release_idle() const;

  // What a stored plan consists of: the weights that the steps read, by key, and the steps'
  // records.
  const std::map<std::string, PackedWeight>& packed_weights() const { return packed_weights_; }
  const Records& records() const { return records_; }
  // The nodes whose operands are rounded to bfloat16.
  const std::vector<NodeId>& bfloat16_nodes() const { return bfloat16_nodes_; }
  // The first operator whose step cannot be stored; empty when all can.
  const std::string& not_storable() const { return not_storable_; }

  // `input` holds input_shape() floats; outputs[i] has room for output_shapes()[i]. Allocates
  // nothing unless more calls run at once than ever before. Throws Error when a training plan gets
  // no parameters. Under MOBILEONE_VERBOSE every run says what its steps took (verbose.hpp).
  void run(const RunArguments& arguments) const;
  void run(const float* input, float* const* outputs) const { run({input, outputs}); }
  PlanProfile profile(const float* input, float* const* outputs, int runs) const;
  // Wall time of each of `runs` runs in nanoseconds.
  std::vector<std::int64_t> time(const float* input, float* const* outputs, int runs) const;

 private:
  struct Context;
  std::unique_ptr<Context> acquire() const;
  void release(std::unique_ptr<Context> context) const;
  void keep_contexts(std::size_t most) const;
  template <typename Work>
  void with_context(const RunArguments& arguments, const Work& work) const;

  std::shared_ptr<const Network> network_;  // of a training plan: without weights
  std::shared_ptr<WeightCache> weights_;
  Shape input_shape_;
  std::vector<PlanOutput> outputs_;
  std::vector<Shape> output_shapes_;
  std::vector<std::string> parameters_;
  std::vector<Shape> parameter_shapes_;
  std::vector<std::size_t> parameters_by_name_;  // slots
  int threads_ = 1;
  bool gradients_ = false, outer_loss_ = false;
  std::map<std::string, PackedWeight> packed_weights_;
  Records records_;
  std::vector<NodeId> bfloat16_nodes_;
  std::string not_storable_;
  std::vector<Value> values_;
  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<StepInfo> infos_;
  std::size_t arena_bytes_ = 0;
  std::size_t scratch_bytes_ = 0;
  // Idle contexts; taken and put back without a lock.
  mutable std::array<std::atomic<Context*>, 64> idle_{};
  mutable std::atomic<std::size_t> contexts_{0};
  // Runs at present, the most at once in this window of kWindow runs, and runs so far.
  static constexpr std::size_t kWindow = 32;
  mutable std::atomic<std::size_t> active_{0}, most_active_{0}, runs_{0};
};

}  // namespace mobileone
