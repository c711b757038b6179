// The operators on float64 arrays, one function each. They know neither graphs nor weights' names.
#pragma once

#include <vector>

#include "mobileone/graph/op.hpp"
#include "mobileone/reference/reference.hpp"

namespace mobileone::reference {

using Values = std::vector<double>;

// Mean and biased variance of each channel over batch, height and width.
struct ChannelStatistics {
  Values mean, var;
};

// Batch norm as it is applied: y = scale * x + shift, per channel.
struct Affine {
  Values scale, shift;
};

// Cross-correlation; `bias` may be empty. `shape` is the result's shape.
ReferenceTensor convolve(const ReferenceTensor& x, const Conv2d& op, const Values& weight,
                         const Values& bias, const Shape& shape, int threads);

// x [N, in(, 1, 1)], weight [out, in]; `bias` may be empty.
ReferenceTensor multiply_matrix(const ReferenceTensor& x, const Linear& op, const Values& weight,
                                const Values& bias, const Shape& shape, int threads);

ChannelStatistics channel_statistics(const ReferenceTensor& x, int threads);
// scale = gamma / sqrt(var + eps), shift = beta - mean * scale.
Affine affine(const Values& gamma, const Values& beta, const ChannelStatistics& statistics,
              double eps);
ReferenceTensor apply_affine(const ReferenceTensor& x, const Affine& affine, int threads);

ReferenceTensor activate(const ReferenceTensor& x, ActivationKind kind, int threads);
ReferenceTensor add(const std::vector<const ReferenceTensor*>& inputs, int threads);
// The second factor has the first one's shape or [N, C, 1, 1].
ReferenceTensor multiply(const ReferenceTensor& x, const ReferenceTensor& factor, int threads);
// What the values s of DynamicMax's second input stand for, in the same order.
Values dynamic_coefficients(const DynamicMax& op, const ReferenceTensor& s);
// Coefficients as above. `squares`: the sum of the squared terms of the largest piece instead of
// the sum of its terms.
ReferenceTensor dynamic_max(const ReferenceTensor& x, const DynamicMax& op,
                            const Values& coefficients, bool squares, int threads);
ReferenceTensor global_average(const ReferenceTensor& x, int threads);

// Every value squared.
ReferenceTensor squared(const ReferenceTensor& x, int threads);
Values squared(Values values);

}  // namespace mobileone::reference
