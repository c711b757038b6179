#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

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

  static constexpr const char* name = "Conv2d";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{.takes_activation = true};
  static constexpr auto fields() {
    return std::tuple{Field{"in_channels", &Conv2d::in_channels, 1},
                      Field{"out_channels", &Conv2d::out_channels, 1},
                      Field{"kernel_size", &Conv2d::kernel, 1},
                      Field{"stride", &Conv2d::stride, 1},
                      Field{"padding", &Conv2d::padding},
                      Field{"dilation", &Conv2d::dilation, 1},
                      Field{"groups", &Conv2d::groups, 1},
                      Field{"bias", &Conv2d::bias}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs.image(in_channels);
    if (in_channels % groups != 0 || out_channels % groups != 0) {
      inputs.fail("has ", groups, " groups; expected a divisor of its ", in_channels,
                  " inputs and ", out_channels, " outputs");
    }
    Shape out{in[0], out_channels, 0, 0};
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const std::int64_t span = dilation[axis] * (kernel[axis] - 1) + 1;
      const std::int64_t room = in[axis + 2] + 2 * padding[axis] - span;
      if (room < 0) inputs.fail("input ", to_string(in), " is smaller than the kernel");
      out[axis + 2] = room / stride[axis] + 1;
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string& node) const {
    std::vector<Parameter> result{
        {node + ".weight", {out_channels, in_channels / groups, kernel[0], kernel[1]}}};
    if (bias) result.push_back({node + ".bias", {out_channels}});
    return result;
  }
  std::int64_t macs(const Shape& result) const {
    return element_count(result) * (in_channels / groups) * kernel[0] * kernel[1];
  }
  std::optional<OnnxOperator> onnx() const {
    return OnnxOperator{"Conv",
                        {{"kernel_shape", to_attribute(kernel)},
                         {"strides", to_attribute(stride)},
                         {"pads", Integers{padding[0], padding[1], padding[0], padding[1]}},
                         {"dilations", to_attribute(dilation)},
                         {"group", groups}}};
  }
};

}  // namespace mobileone
