#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Multi-head scaled dot-product self-attention (Vaswani et al. 2017, eq. 1) on packed projections
// [B, N, 3 d] -> [B, N, d]: features are all heads' queries, then all keys, then all values, each
// heads x (d / heads). Per head softmax(Q K^T / sqrt(d / heads)) V, the softmax over keys.
struct Attention {
  std::int64_t heads = 1;

  static constexpr const char* name = "Attention";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"heads", &Attention::heads}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs.tokens();
    if (heads < 1 || in[2] % (3 * heads) != 0) {
      inputs.fail("input has shape ", to_string(in), " for ", heads,
                  " heads; expected 3 x heads x head size features");
    }
    return {in[0], in[1], in[2] / 3};
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  // Q K^T and the weighted sum of V: N products each per element of [B, N, d].
  std::int64_t macs(const Shape& result) const { return 2 * element_count(result) * result[1]; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
