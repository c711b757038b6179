// One emit function per operator: reads its inputs from the builder, adds the step and its result.
#pragma once

#include <dnnl.hpp>

#include "mobileone/plan/builder.hpp"

namespace mobileone::onednn {

void emit(const Conv2d& conv, const LoweredOp& op, PlanBuilder& builder);
void emit(const BatchNorm& batch_norm, const LoweredOp& op, PlanBuilder& builder);
void emit(const Activation& activation, const LoweredOp& op, PlanBuilder& builder);
void emit(const Add& add, const LoweredOp& op, PlanBuilder& builder);
void emit(const Multiply& multiply, const LoweredOp& op, PlanBuilder& builder);
void emit(const GlobalAvgPool& pool, const LoweredOp& op, PlanBuilder& builder);
void emit(const Linear& linear, const LoweredOp& op, PlanBuilder& builder);
void emit(const LayerNorm& layer_norm, const LoweredOp& op, PlanBuilder& builder);
void emit(const Attention& attention, const LoweredOp& op, PlanBuilder& builder);
void emit(const Concat& concatenation, const LoweredOp& op, PlanBuilder& builder);
void emit(const MatMul& product, const LoweredOp& op, PlanBuilder& builder);

std::unique_ptr<Step> reorder_step(ValueId from, ValueId to, const PlanBuilder& builder);

// strict_attributes() with the activation, if any and unless it is_ours, as the last post-op.
dnnl::primitive_attr attributes_with(const std::optional<ActivationKind>& activation,
                                     dnnl::post_ops before = {});

// oneDNN's name of an activation, and its parameters.
struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0.f, beta = 0.f;
};
// None of an activation that is_ours.
std::optional<Eltwise> eltwise_of(const std::optional<ActivationKind>& activation);

}  // namespace mobileone::onednn
