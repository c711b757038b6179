// The operators of a Graph: plain structs with attributes only. Weights live in Network, found by
// the node's name: "<node>.weight", "<node>.bias", "<node>.running_mean", ...
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "mobileone/base/tensor.hpp"

namespace mobileone {

// (height, width) of a kernel, a stride or a padding.
using Extent = std::array<std::int64_t, 2>;

// The network's input, [N, channels, H, W] float32.
struct Input {
  std::int64_t channels = 3;
};

// Cross-correlation as torch.nn.Conv2d; weight [out, in/groups, kh, kw], bias [out] if `bias`.
struct Conv2d {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Extent kernel{1, 1};
  Extent stride{1, 1};
  Extent padding{0, 0};
  Extent dilation{1, 1};
  std::int64_t groups = 1;
  bool bias = false;

  bool depthwise() const { return groups == in_channels && groups == out_channels; }
};

// weight, bias, running_mean, running_var [channels]; num_batches_tracked [].
// Inference: y = (x - running_mean) / sqrt(running_var + eps) * weight + bias.
struct BatchNorm {
  std::int64_t channels = 0;
  double eps = 1e-5;
  double momentum = 0.1;
};

// gelu is x Phi(x) with the error function (Hendrycks & Gimpel 2016), silu x sigmoid(x), and
// hard_sigmoid min(max(x / 6 + 1/2, 0), 1).
enum class ActivationKind { relu, sigmoid, gelu, silu, hard_sigmoid };

struct Activation {
  ActivationKind kind = ActivationKind::relu;
};

// Sum of one or more tensors of the same shape.
struct Add {};

// Elementwise product; the second factor may be [N, C, 1, 1] (squeeze-and-excitation).
struct Multiply {};

// [N, C, H, W] -> [N, C, 1, 1], mean over H and W.
struct GlobalAvgPool {};

// [..., in] -> [..., out], and [N, in, 1, 1] -> [N, out]; weight [out, in], bias [out] if `bias`.
struct Linear {
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  bool bias = true;
};

// Maximum of `pieces` functions that are linear in the input, with coefficients of the image:
//   y[c] = max over k of sum over j of a[k][j][c] x[(c + j C / groups) mod C] + b[k][c].
// Dynamic ReLU (Chen et al. 2020, eq. 3) has one term and offsets b; its variant A shares the
// coefficients among channels. Dynamic Shift-Max (Li et al. 2021, eq. 6) sums over channels
// C / groups apart, without offsets. Inputs: x [N, C, H, W] and s [N, coefficients(), 1, 1] in
// [0, 1], the a[k][j] piece by piece, then the b[k]. A coefficient is its initial value, 1 for
// a[0][0] and 0 for the others, plus scale (2 s - 1); the scale is 1 for a, and 1/2 for b.
struct DynamicMax {
  std::int64_t channels = 0;
  std::int64_t pieces = 2;
  std::int64_t terms = 1;
  std::int64_t groups = 1;
  bool offsets = true;
  bool shared = false;

  std::int64_t vectors() const { return pieces * (terms + (offsets ? 1 : 0)); }
  std::int64_t coefficients() const { return vectors() * (shared ? 1 : channels); }
  // Coefficient vector v is factor * s + constant.
  double factor(std::int64_t v) const { return v < pieces * terms ? 2.0 : 1.0; }
  double constant(std::int64_t v) const {
    return v == 0 ? 0.0 : (v < pieces * terms ? -1.0 : -0.5);
  }
};

// Over the last dimension of [..., channels], with the biased variance (Ba et al. 2016):
// y = (x - mean) / sqrt(var + eps) * weight + bias; weight and bias [channels].
struct LayerNorm {
  std::int64_t channels = 0;
  double eps = 1e-5;
};

// Multi-head scaled dot-product self-attention (Vaswani et al. 2017, eq. 1) on packed projections
// [B, N, 3 d] -> [B, N, d]: features are all heads' queries, then all keys, then all values, each
// heads x (d / heads). Per head softmax(Q K^T / sqrt(d / heads)) V, the softmax over keys.
struct Attention {
  std::int64_t heads = 1;
};

// [B, C, H, W] -> [B h w, N, C], H and W multiples of the patch (h, w): one sequence per image and
// position inside the patch, b h w + h-position w + w-position, of the N = (H / h)(W / w) patches
// in row-major order (MobileViT, Mehta & Rastegari 2022, section 3.1).
struct Unfold {
  Extent patch{1, 1};
};

// The inverse of Unfold: [B h w, N, C] and a map [B, any, H, W] -> [B, C, H, W].
struct Fold {
  Extent patch{1, 1};
};

// Bilinear, pixel centres aligned (PyTorch's align_corners=False, no antialiasing): of one input,
// to the next multiples of `multiple` in H and W; of two, the first to H and W of the second.
// The identity where the size is the same.
struct Resize {
  Extent multiple{1, 1};
};

// Maps that differ in their number of channels, one after the other.
struct Concat {};

// In training, zero with probability p and x / (1 - p) otherwise (graph/dropout.hpp says which);
// else the identity.
struct Dropout {
  double p = 0.0;
};

using Op = std::variant<Input, Conv2d, BatchNorm, Activation, Add, Multiply, GlobalAvgPool, Linear,
                        DynamicMax, LayerNorm, Attention, Unfold, Fold, Resize, Concat, Dropout>;

struct Parameter {
  std::string name;
  Shape shape;
  DType dtype = DType::float32;
  bool trainable = true;  // false for running statistics
};

// "Conv2d", "BatchNorm", ...
const char* kind_name(const Op& op);
const char* to_string(ActivationKind kind);

// The weights that a node of this name and operator reads, in PyTorch's order.
std::vector<Parameter> parameters(const std::string& node_name, const Op& op);

}  // namespace mobileone
