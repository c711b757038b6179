// Step: one piece of work of a plan, on packed weights. Its life: made at compile time (all
// decisions), bound once per context (all allocation), run (no allocation, no lock, no decision).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mobileone/plan/value.hpp"

namespace mobileone {

// A loss of the wanted outputs that is not the plan's to compute. Called when they are written;
// gives its value, and writes its gradient for each of them, NCHW.
using OuterLoss = std::function<double(const std::vector<float*>& gradients)>;

// What one run reads and writes: the caller's memory.
struct RunArguments {
  const float* input = nullptr;
  float* const* outputs = nullptr;
  // Of a training plan: Plan::parameters(), in that order, and which elements its Dropouts keep. A
  // tensor does not change: the same one in the next run holds the same numbers.
  const std::shared_ptr<const void>* parameters = nullptr;
  std::uint64_t dropout_seed = 0;
  // Of a plan with gradients: what the loss compares with, a distribution over classes per image.
  const float* targets = nullptr;
  // Instead, of a plan with an outer loss.
  const OuterLoss* loss = nullptr;
};

// Resolves values to addresses within one context. Arena addresses never change; those of the
// caller's memory are set anew before each run.
class Buffers {
 public:
  Buffers(const std::vector<Value>& values, std::byte* arena, std::byte* scratch, int threads)
      : values_(values), arena_(arena), scratch_(scratch), threads_(threads) {}

  void* address(ValueId id) const {
    const Value& value = values_[static_cast<std::size_t>(id)];
    switch (value.storage) {
      case Storage::arena:
        return arena_ + value.offset;
      case Storage::input:
        return const_cast<float*>(arguments.input);
      case Storage::targets:
        return const_cast<float*>(arguments.targets);
      case Storage::output:
        return arguments.outputs[value.slot];
      case Storage::parameter:
        return const_cast<void*>(arguments.parameters[value.slot].get());
    }
    return nullptr;
  }
  bool is_external(ValueId id) const {
    return values_[static_cast<std::size_t>(id)].storage != Storage::arena;
  }
  bool border_kept(ValueId id) const { return values_[static_cast<std::size_t>(id)].border_kept; }
  // Shared by all steps, which run one after the other.
  std::byte* scratch() const { return scratch_; }
  // How many threads a step may use.
  int threads() const { return threads_; }

  RunArguments arguments;

 private:
  const std::vector<Value>& values_;
  std::byte* arena_;
  std::byte* scratch_;
  int threads_;
};

// Weights that a step reads: constant ones, which it keeps alive, or a value of the plan.
struct Operand {
  ValueId value = -1;
  std::shared_ptr<const void> constant;

  explicit operator bool() const { return value >= 0 || constant; }
  // Null for an operand that is none.
  const float* address(const Buffers& buffers) const {
    return static_cast<const float*>(value >= 0 ? buffers.address(value) : constant.get());
  }
};

// A step with its memory objects in one context. Used by one thread at a time.
class BoundStep {
 public:
  virtual ~BoundStep() = default;
  virtual void run() = 0;
};

// What profile() prints of a step.
struct StepInfo {
  std::string name;            // module path of the (last) node
  std::string kind;            // "Conv2d+relu", "Reorder", ...
  std::string implementation;  // "onednn jit:avx512_core", ...
  std::vector<Shape> input_shapes;
  Shape output_shape;
  std::int64_t macs = 0;
  std::int64_t bytes = 0;  // activations read and written, plus weights read
};

class Step {
 public:
  explicit Step(StepInfo info) : info_(std::move(info)) {}
  virtual ~Step() = default;

  const StepInfo& info() const { return info_; }
  virtual std::size_t scratch_bytes() const { return 0; }
  // `buffers` outlives the bound step.
  virtual std::unique_ptr<BoundStep> bind(const Buffers& buffers) const = 0;

 private:
  StepInfo info_;
};

}  // namespace mobileone
