#include <algorithm>

#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/panel.hpp"

namespace mobileone::reference {

namespace {

// x [..., in] or [N, in, 1, 1], weight [out, in]; `bias` may be empty; `shape` is the result's.
ReferenceTensor multiply_matrix(const ReferenceTensor& x, const Linear& op, const Values& weight,
                                const Values& bias, const Shape& shape, int threads) {
  ReferenceTensor y{shape, Values(static_cast<std::size_t>(element_count(shape)))};
  const std::int64_t terms = op.in_features, outputs = op.out_features;
  const std::int64_t rows = element_count(shape) / outputs;
  const std::int64_t grain = panel_grain(terms, outputs);
  parallel_for(
      (rows + kPixels - 1) / kPixels, grain, threads, [&](std::int64_t begin, std::int64_t end) {
        Values panel(static_cast<std::size_t>(terms * kPixels));
        for (std::int64_t first = begin * kPixels; first < end * kPixels; first += kPixels) {
          const std::int64_t count = std::min(kPixels, rows - first);
          for (std::int64_t p = 0; p < count; ++p) {
            const double* from = x.values.data() + (first + p) * terms;
            for (std::int64_t k = 0; k < terms; ++k) {
              panel[static_cast<std::size_t>(k * kPixels + p)] = from[k];
            }
          }
          double* out = y.values.data() + first * outputs;
          multiply_panel(outputs, terms, weight.data(), bias.empty() ? nullptr : bias.data(),
                         panel.data(), [&](std::int64_t channel, const double* sums) {
                           for (std::int64_t p = 0; p < count; ++p) {
                             out[p * outputs + channel] = sums[p];
                           }
                         });
        }
      });
  return y;
}

}  // namespace

template <>
ReferenceTensor evaluate(const Linear& op, const Call& call) {
  return multiply_matrix(call.input(), op, call.weight("weight"),
                         op.bias ? call.weight("bias") : Values{}, call.shape(), call.threads());
}

template <>
Values deviation(const Linear& op, const Call& call, const ReferenceTensor& y) {
  const auto terms = static_cast<double>(op.in_features + (op.bias ? 1 : 0));
  const Values weight = squared(call.exact_weight("weight"));
  const Values bias = op.bias ? squared(call.exact_weight("bias")) : Values{};
  const ReferenceTensor squares = multiply_matrix(squared(call.input(), call.threads()), op, weight,
                                                  bias, y.shape, call.threads());
  return products_deviation(terms, y, squares, call.threads());
}

template <>
Gradients vjp(const Linear& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  const Values weight = call.exact_weight("weight");
  const std::int64_t in = op.in_features, out = op.out_features;
  const std::int64_t rows = element_count(gradient.shape) / out;
  ReferenceTensor dx = zeros(x.shape);
  Values dweight(weight.size()), dbias(to_index(op.bias ? out : 0));
  for (std::int64_t row = 0; row < rows; ++row) {
    const double* dy = gradient.values.data() + row * out;
    const double* from = x.values.data() + row * in;
    double* to = dx.values.data() + row * in;
    for (std::int64_t o = 0; o < out; ++o) {
      const double* w = weight.data() + o * in;
      double* dw = dweight.data() + o * in;
      for (std::int64_t i = 0; i < in; ++i) {
        to[i] += dy[o] * w[i];
        dw[i] += dy[o] * from[i];
      }
      if (op.bias) dbias[to_index(o)] += dy[o];
    }
  }
  Gradients result{{std::move(dx)}, {{"weight", std::move(dweight)}}};
  if (op.bias) result.weights["bias"] = std::move(dbias);
  return result;
}

}  // namespace mobileone::reference
