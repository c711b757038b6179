#pragma once

#include "mobileone/graph/ops/conv2d.hpp"
#include "mobileone/graph/quantization.hpp"

namespace mobileone {

// A convolution of integers. With x the input, integers 0 to 255, and padding that adds nothing:
//
//   sum = bias + sum over the window of (x - input_zero_point) * weight         in 32-bit integers
//   y = clamp(rint(float32(sum) * multiplier) + output_zero_point, lo, 255)     to nearest even
//
// with lo the output's zero point after a ReLU, else 0. With `float_result` y is float32(sum) *
// multiplier, and relu must be false. weight [out, in/groups, kh, kw] holds integers -127 to 127,
// bias [out] integers up to 2^30, multiplier [out] = input scale * weight scale / output scale; all
// are stored as float32. (Jacob et al. 2018, sections 2.2 and 2.4, with a float32 multiplier.)
struct QuantizedConvolution {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  Extent kernel{1, 1};
  Extent stride{1, 1};
  Extent padding{0, 0};
  Extent dilation{1, 1};
  std::int64_t groups = 1;
  std::int64_t input_zero_point = 0;
  std::int64_t output_zero_point = 0;
  bool relu = false;
  bool float_result = false;

  // The same geometry, with a bias.
  Conv2d convolution() const {
    return {in_channels, out_channels, kernel, stride, padding, dilation, groups, true};
  }
  std::int64_t least() const { return relu ? output_zero_point : 0; }
  // Products of a sum.
  std::int64_t terms() const { return in_channels / groups * kernel[0] * kernel[1]; }

  static constexpr const char* name = "QuantizedConvolution";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    using T = QuantizedConvolution;
    return std::tuple{Field{"in_channels", &T::in_channels, 1},
                      Field{"out_channels", &T::out_channels, 1},
                      Field{"kernel_size", &T::kernel, 1},
                      Field{"stride", &T::stride, 1},
                      Field{"padding", &T::padding},
                      Field{"dilation", &T::dilation, 1},
                      Field{"groups", &T::groups, 1},
                      Field{"input_zero_point", &T::input_zero_point},
                      Field{"output_zero_point", &T::output_zero_point},
                      Field{"relu", &T::relu},
                      Field{"float_result", &T::float_result}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    check_zero_point(inputs, "input_zero_point", input_zero_point);
    check_zero_point(inputs, "output_zero_point", output_zero_point);
    if (float_result && (relu || output_zero_point != 0)) {
      inputs.fail("has a float_result with relu or an output_zero_point; expected neither");
    }
    if (terms() > kMostTerms) {
      inputs.fail("sums ", terms(), " products; expected at most ", kMostTerms);
    }
    return convolution().output_shape(inputs);
  }
  std::vector<Parameter> parameters(const std::string& node) const {
    std::vector<Parameter> result = convolution().parameters(node);
    result.push_back({node + ".multiplier", {out_channels}});
    for (Parameter& parameter : result) parameter.trainable = false;
    result[0].integers = result[1].integers = true;
    result[0].largest = kLargestWeight;
    result[1].largest = kLargestBias;
    result[2].largest = kLargestMultiplier;
    return result;
  }
  std::int64_t macs(const Shape& result) const { return convolution().macs(result); }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
