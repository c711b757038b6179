// The list of all operators. One more is its file under ops/, and here its #include and its name.
#pragma once

#include <type_traits>
#include <variant>

#include "mobileone/graph/ops/activation.hpp"
#include "mobileone/graph/ops/add.hpp"
#include "mobileone/graph/ops/arithmetic.hpp"
#include "mobileone/graph/ops/attention.hpp"
#include "mobileone/graph/ops/avg_pool.hpp"
#include "mobileone/graph/ops/batch_norm.hpp"
#include "mobileone/graph/ops/concat.hpp"
#include "mobileone/graph/ops/constant.hpp"
#include "mobileone/graph/ops/conv2d.hpp"
#include "mobileone/graph/ops/dequantize.hpp"
#include "mobileone/graph/ops/dropout.hpp"
#include "mobileone/graph/ops/dynamic_max.hpp"
#include "mobileone/graph/ops/expand.hpp"
#include "mobileone/graph/ops/fold.hpp"
#include "mobileone/graph/ops/global_avg_pool.hpp"
#include "mobileone/graph/ops/input.hpp"
#include "mobileone/graph/ops/layer_norm.hpp"
#include "mobileone/graph/ops/linear.hpp"
#include "mobileone/graph/ops/mat_mul.hpp"
#include "mobileone/graph/ops/max_pool.hpp"
#include "mobileone/graph/ops/multiply.hpp"
#include "mobileone/graph/ops/pad.hpp"
#include "mobileone/graph/ops/quantize.hpp"
#include "mobileone/graph/ops/quantized_convolution.hpp"
#include "mobileone/graph/ops/reduce.hpp"
#include "mobileone/graph/ops/reshape.hpp"
#include "mobileone/graph/ops/resize.hpp"
#include "mobileone/graph/ops/slice.hpp"
#include "mobileone/graph/ops/softmax.hpp"
#include "mobileone/graph/ops/transpose.hpp"
#include "mobileone/graph/ops/unfold.hpp"

namespace mobileone {

template <Operator... T>
using OneOf = std::variant<T...>;

// clang-format off
using Op = OneOf<
    Input,
    Activation,
    Add,
    Arithmetic,
    Attention,
    AvgPool,
    BatchNorm,
    Concat,
    Constant,
    Conv2d,
    Dequantize,
    Dropout,
    DynamicMax,
    Expand,
    Fold,
    GlobalAvgPool,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool,
    Multiply,
    Pad,
    Quantize,
    QuantizedConvolution,
    Reduce,
    Reshape,
    Resize,
    Slice,
    Softmax,
    Transpose,
    Unfold>;
// clang-format on

// "Conv2d", "BatchNorm", ...
const char* kind_name(const Op& op);
Arity arity_of(const Op& op);
Traits traits_of(const Op& op);
Attributes attributes_of(const Op& op);
std::optional<OnnxOperator> onnx_of(const Op& op);

// The operator of this kind, of the fields that are given and the initial values of the others.
// `node` names the place in errors: throws Error naming an unknown kind or attribute, or one of
// another type.
Op make_op(const std::string& kind, const Attributes& attributes, const std::string& node);
// Throws Error naming the first attribute that is out of its range.
void check_attributes(const Op& op, const std::string& node);

// The shape of the result for inputs of these shapes; throws Error where they do not fit.
Shape output_shape(const Op& op, const std::string& node, std::vector<Shape> inputs);
// The weights that a node of this name and operator reads, in PyTorch's order.
std::vector<Parameter> parameters(const std::string& node, const Op& op);
// Multiply-accumulates of an operator with a result of this shape.
std::int64_t count_macs(const Op& op, const Shape& result);

}  // namespace mobileone
