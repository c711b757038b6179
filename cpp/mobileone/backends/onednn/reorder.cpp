#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::onednn {

std::unique_ptr<Step> reorder_step(ValueId from, ValueId to, const PlanBuilder& builder) {
  const Value& source = builder.value(from);
  const Value& target = builder.value(to);
  const dnnl::memory::desc src = desc_of(source), dst = desc_of(target);
  const dnnl::reorder::primitive_desc primitive(cpu_engine(), src, cpu_engine(), dst,
                                                strict_attributes());
  StepInfo info;
  info.name = concat(to_string(source.layout), " -> ", to_string(target.layout));
  info.kind = "Reorder";
  info.implementation = implementation_name(primitive);
  info.input_shapes = {source.shape};
  info.output_shape = target.shape;
  info.bytes = static_cast<std::int64_t>(source.bytes() + target.bytes());
  return std::make_unique<PrimitiveStep>(
      std::move(info), dnnl::reorder(primitive), primitive.scratchpad_desc(),
      std::vector<Argument>{value_argument(DNNL_ARG_FROM, src, from),
                            value_argument(DNNL_ARG_TO, dst, to)});
}

}  // namespace mobileone::onednn
