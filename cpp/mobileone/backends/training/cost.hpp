// Which path a sum of branches takes in training.
#pragma once

#include "mobileone/backends/training/branch_sum.hpp"

namespace mobileone::training {

// Whether moments cost less than branches, for maps of these sizes.
bool moments_are_faster(const BranchSum& sum, const PlanBuilder& builder);

}  // namespace mobileone::training
