// Naive float64 references of the transformer's kernels with bounds on the error of float32, in the
// manner of reference.hpp. A Map holds features x tokens, [features][1][tokens].
#pragma once

#include <vector>

#include "mobileone/kernels/reference/reference.hpp"
#include "mobileone/kernels/tokens/transformer.hpp"

namespace mobileone::kernels::reference {

/// W (gain x + offset) + b with gain and offset folded into W and b (rounded once), times row_scale
/// in the first scaled_rows rows. gain and offset may be null.
Map folded_linear(const Map& x, int out, const float* weight, const float* bias,
                  const FoldedNorm& norm);

/// (x - mean) / sqrt(variance + eps) over the features of each token.
Map normalize(const Map& x, double eps);

/// Softmax attention of one sequence, powers of two: qkv is [3 features][1][tokens].
Map attention(const Map& qkv, int heads);

/// Bilinear interpolation, align_corners=False.
Map resize(const Map& map, int height, int width);

/// One sequence per position inside the patches, and back.
std::vector<Map> unfold(const Map& map, int patch_height, int patch_width);
Map fold(const std::vector<Map>& sequences, int height, int width, int patch_height,
         int patch_width);

}  // namespace mobileone::kernels::reference
