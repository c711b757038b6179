// A step that executes one oneDNN primitive on values and packed weights.
#pragma once

#include <dnnl.hpp>
#include <memory>
#include <vector>

#include "mobileone/plan/builder.hpp"
#include "mobileone/plan/describe.hpp"

namespace mobileone::onednn {

// One argument of a primitive: a value of the plan, or constant memory that the step keeps alive.
struct Argument {
  int index;  // DNNL_ARG_...
  dnnl::memory::desc desc;
  ValueId value = -1;
  std::shared_ptr<const void> constant;
  std::size_t image_bytes = 0;  // how far the argument moves from one image to the next
};

class PrimitiveStep : public Step {
 public:
  // `images` > 1 executes the primitive once per image, moving each argument by its image_bytes.
  PrimitiveStep(StepInfo info, const dnnl::primitive& primitive,
                const dnnl::memory::desc& scratchpad, std::vector<Argument> arguments,
                std::int64_t images = 1);

  std::size_t scratch_bytes() const override { return scratchpad_.get_size(); }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override;

 private:
  dnnl::primitive primitive_;
  dnnl::memory::desc scratchpad_;
  std::vector<Argument> arguments_;
  std::int64_t images_;
};

// A network weight as the caller stores it, viewed with shape `dims`; no copy.
Argument plain_weight(int index, const Network& network, const std::string& name,
                      const dnnl::memory::dims& dims);
// The same, reordered into `packed` once and shared by all plans of the network.
Argument packed_weight(int index, PlanBuilder& builder, const std::string& name,
                       const dnnl::memory::dims& dims, const dnnl::memory::desc& packed);
Argument value_argument(int index, const dnnl::memory::desc& desc, ValueId value);

// A node's feature map in nhwc or in blocks without a border: a pixel's channels in runs.
ValueId value_with_runs(PlanBuilder& builder, NodeId node);
// A node's value in a layout without a border: one that oneDNN's vector code reads and writes.
ValueId dense_value(PlanBuilder& builder, NodeId node);

}  // namespace mobileone::onednn
