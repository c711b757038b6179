// A step that executes one oneDNN primitive on values and packed weights.
#pragma once

#include <algorithm>
#include <dnnl.hpp>
#include <memory>
#include <vector>

#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/plan/builder.hpp"
#include "mobileone/plan/describe.hpp"

namespace mobileone::onednn {

// One argument of a primitive.
struct Argument {
  int index;  // DNNL_ARG_...
  dnnl::memory::desc desc;
  Operand operand;
  std::size_t image_bytes = 0;  // how far the argument moves from one image to the next
};

// An activation that is applied to a value once the primitive has written it (finish.hpp).
struct Finish {
  std::optional<ActivationKind> activation;
  ValueId value = -1;
  std::int64_t floats = 0;
};

class PrimitiveStep : public Step {
 public:
  // `images` > 1 executes the primitive once per image, moving each argument by its image_bytes.
  PrimitiveStep(StepInfo info, const dnnl::primitive& primitive,
                const dnnl::memory::desc& scratchpad, std::vector<Argument> arguments,
                std::int64_t images = 1, const Finish& finish = {});

  std::size_t scratch_bytes() const override { return scratchpad_.get_size(); }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override;

 private:
  dnnl::primitive primitive_;
  dnnl::memory::desc scratchpad_;
  std::vector<Argument> arguments_;
  std::int64_t images_;
  Finish finish_;
};

// A network weight as the caller stores it, viewed with shape `dims`; no copy.
Argument plain_weight(int index, PlanBuilder& builder, const std::string& name,
                      const dnnl::memory::dims& dims);
// The same, reordered into `packed` once and shared by all plans of the network; in training by a
// step.
Argument packed_weight(int index, PlanBuilder& builder, const std::string& name,
                       const dnnl::memory::dims& dims, const dnnl::memory::desc& packed);
Argument value_argument(int index, const dnnl::memory::desc& desc, ValueId value);

// Adds the step of one operator that executes a primitive, with the values that it reads and
// writes. Further values among the arguments, such as weights that a step brought into order, are
// reads. `finish` is applied to the first value written.
template <typename Primitive>
void add_primitive(const LoweredOp& op, PlanBuilder& builder,
                   const typename Primitive::primitive_desc& primitive,
                   std::vector<Argument> arguments, std::vector<ValueId> reads,
                   const std::vector<ValueId>& writes, std::int64_t images = 1,
                   const std::optional<ActivationKind>& finish = std::nullopt) {
  for (const Argument& argument : arguments) {
    const ValueId value = argument.operand.value;
    if (value >= 0 && std::count(writes.begin(), writes.end(), value) == 0) reads.push_back(value);
  }
  const Value& written = builder.value(writes.front());
  builder.add_step(std::make_unique<PrimitiveStep>(
                       describe(op, builder, implementation_name(primitive)), Primitive(primitive),
                       primitive.scratchpad_desc(), std::move(arguments), images,
                       Finish{finish, writes.front(),
                              static_cast<std::int64_t>(written.bytes() / sizeof(float))}),
                   reads, writes);
}
// A node's value in a layout without a border: one that oneDNN's vector code reads and writes.
ValueId dense_value(PlanBuilder& builder, NodeId node);

}  // namespace mobileone::onednn
