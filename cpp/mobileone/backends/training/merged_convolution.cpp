#include "mobileone/backends/training/merged_convolution.hpp"

#include <algorithm>
#include <limits>

#include "mobileone/base/error.hpp"

namespace mobileone::training {

BranchOperands::BranchOperands(const BranchSum& sum, PlanBuilder& builder) {
  for (const Branch& branch : sum.branches) {
    const std::string& norm = builder.node(branch.norm).name;
    One one;
    if (branch.conv >= 0) one.weight = builder.weight(builder.node(branch.conv).name + ".weight");
    one.gamma = builder.weight(norm + ".weight");
    one.beta = builder.weight(norm + ".bias");
    const Shape channels{sum.merged.out_channels};
    one.mean = builder.new_extra_output(branch.norm, PlanOutput::Kind::batch_mean, channels);
    one.variance =
        builder.new_extra_output(branch.norm, PlanOutput::Kind::batch_variance, channels);
    one.eps = std::get<BatchNorm>(builder.node(branch.norm).op).eps;
    one.taps = branch.taps;
    branches.push_back(std::move(one));
  }
}

void BranchOperands::add_gradients(const BranchSum& sum, PlanBuilder& builder) {
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const Branch& branch = sum.branches[i];
    if (branch.conv >= 0) {
      branches[i].dweight =
          builder.new_weight_gradient(branch.conv, builder.node(branch.conv).name + ".weight");
    }
    const std::string& norm = builder.node(branch.norm).name;
    branches[i].dgamma = builder.new_weight_gradient(branch.norm, norm + ".weight");
    branches[i].dbeta = builder.new_weight_gradient(branch.norm, norm + ".bias");
  }
}

std::vector<ValueId> BranchOperands::weights() const {
  std::vector<Operand> operands;
  for (const One& one : branches) {
    operands.insert(operands.end(), {one.weight, one.gamma, one.beta});
  }
  return PlanBuilder::values_of(operands);
}

std::vector<ValueId> BranchOperands::statistics() const {
  std::vector<ValueId> values;
  for (const One& one : branches) values.insert(values.end(), {one.mean, one.variance});
  return values;
}

std::vector<ValueId> BranchOperands::gradients() const {
  std::vector<ValueId> values;
  for (const One& one : branches) {
    if (one.dweight >= 0) values.push_back(one.dweight);
    values.insert(values.end(), {one.dgamma, one.dbeta});
  }
  return values;
}

StepInfo describe_part(const BranchSum& sum, const PlanBuilder& builder, const std::string& part,
                       std::int64_t macs) {
  StepInfo info;
  info.name = builder.node(sum.op.node).name;
  info.kind = concat("Branches ", part);
  info.implementation = concat("moments ", kernels::isa_name(table().isa));
  info.input_shapes = {builder.shape(sum.input)};
  info.output_shape = builder.shape(sum.op.result);
  info.macs = macs;
  info.bytes = static_cast<std::int64_t>(sizeof(float)) *
               (element_count(info.input_shapes[0]) + element_count(info.output_shape));
  return info;
}

float floor_of(const BranchSum& sum) {
  return sum.op.activation == ActivationKind::relu ? 0.f : -std::numeric_limits<float>::infinity();
}

bool masks_input(const BranchSum& sum, const PlanBuilder& builder) {
  const auto* activation = std::get_if<Activation>(&builder.node(sum.input).op);
  return activation && activation->kind == ActivationKind::relu &&
         builder.readers(sum.input).size() == std::max<std::size_t>(1, sum.branches.size());
}

}  // namespace mobileone::training
