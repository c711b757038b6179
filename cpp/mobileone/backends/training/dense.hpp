// A sum of ungrouped branches by the moments of its patches: sizes, values, and the steps in order.
#pragma once

#include <vector>

#include "mobileone/backends/training/merged_convolution.hpp"
#include "mobileone/backends/training/panels.hpp"
#include "mobileone/backends/training/patches.hpp"
#include "mobileone/backends/training/statistics.hpp"

namespace mobileone::training {

struct Dense {
  Dense(const BranchSum& sum, PlanBuilder& builder);

  Patches patches;
  std::int64_t outputs;
  std::int64_t num_branches;
  std::int64_t centre;  // the tap, of a channel's, that an identity branch reads
  double count;         // patches
  float floor;
  bool masked;
  Slots gram_slots, gradient_slots;
  ValueId x, y;
  // With taps K and outputs O, both padded to whole blocks in what kernels read.
  ValueId shift;               // [K]
  ValueId sums, gram;          // of shifted patches: [slots][K], [slots][K][K], upper blocks
  ValueId mean, diagonal;      // float64 [K], the covariance's diagonal
  ValueId covariance;          // panels of [K][K]
  ValueId branch_weights;      // w of every branch as columns [branch][K / 16][O][16]
  ValueId mapped;              // w C, the same
  ValueId norms;               // float64 [branch][O][2]: mean, variance
  ValueId merged;              // W, [O][K]
  ValueId panels, bias;        // of W' [K][O], [O]
  ValueId g = -1;              // the gradient of the result, before its activation
  ValueId dbias = -1;          // float64 [slots][O]
  ValueId dweight = -1;        // [slots][O][K]
  ValueId scaled = -1;         // dvar w of every branch, as branch_weights
  ValueId back = -1;           // float64 [branch][O][2]: dvar, offset (statistics.hpp)
  ValueId s = -1, dmean = -1;  // [K][K], float64 [K]
  ValueId s_panels = -1, w_panels = -1, constant = -1;  // panels of [K][K], of [O][K]; [K]

  std::int64_t taps() const { return patches.taps(); }
  std::int64_t tap_blocks() const { return patches.blocks(); }
  std::int64_t output_blocks() const { return blocks(outputs); }
  std::int64_t branch_floats() const { return tap_blocks() * outputs * kBlock; }
  // Of a branch in `branch_weights` and its like: rows of outputs from `first` on.
  kernels::Columns branch_columns(const float* data, std::int64_t branch, std::int64_t first) const;
};

// An output channel's norm in branch `index`, once the algebra has run; what its gradients are,
// given those of W and b; they go to the caller's memory and, for the moments, to `scaled` and
// `back`.
ChannelNorm norm_of(const Dense& d, const BranchOperands::One& branch, std::int64_t index,
                    std::int64_t row, const Buffers& buffers);
void branch_gradient(const Dense& d, const BranchOperands& operands, std::int64_t index,
                     std::int64_t row, const std::vector<double>& dweight, double dbias,
                     const Buffers& buffers);

void add_moments(const Dense& d, const BranchSum& sum, PlanBuilder& builder);
void add_covariance(const Dense& d, const BranchSum& sum, PlanBuilder& builder);
void add_algebra(const Dense& d, const BranchSum& sum, const BranchOperands& operands,
                 PlanBuilder& builder);
void add_convolution(const Dense& d, const BranchSum& sum, PlanBuilder& builder);
// Sets the values of the backward half.
void emit_backward(Dense d, const BranchSum& sum, BranchOperands operands, PlanBuilder& builder);
void add_weight_gradient(const Dense& d, const BranchSum& sum, PlanBuilder& builder);
// Without S where there is none (`s_panels`).
void add_input_gradient(const Dense& d, const BranchSum& sum, PlanBuilder& builder, ValueId dx);
void add_gradient_algebra(const Dense& d, const BranchSum& sum, const BranchOperands& operands,
                          PlanBuilder& builder);
void add_moment_gradient(const Dense& d, const BranchSum& sum, PlanBuilder& builder);

}  // namespace mobileone::training
