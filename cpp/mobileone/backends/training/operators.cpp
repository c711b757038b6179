#include "mobileone/backends/training/operators.hpp"

namespace mobileone::training {

std::string implementation() { return concat("training ", kernels::isa_name(table().isa)); }

StepInfo describe_backward(const LoweredOp& op, const PlanBuilder& builder, const std::string& part,
                           std::int64_t macs) {
  StepInfo info = describe(op, builder, implementation());
  info.kind += " " + part;
  info.macs = macs;
  return info;
}

}  // namespace mobileone::training
