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

enum class ActivationKind { relu, sigmoid };

struct Activation {
  ActivationKind kind = ActivationKind::relu;
};

// Sum of one or more tensors of the same shape.
struct Add {};

// Elementwise product; the second factor may be [N, C, 1, 1] (squeeze-and-excitation).
struct Multiply {};

// [N, C, H, W] -> [N, C, 1, 1], mean over H and W.
struct GlobalAvgPool {};

// [N, in] or [N, in, 1, 1] -> [N, out]; weight [out, in], bias [out] if `bias`.
struct Linear {
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  bool bias = true;
};

using Op = std::variant<Input, Conv2d, BatchNorm, Activation, Add, Multiply, GlobalAvgPool, Linear>;

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
