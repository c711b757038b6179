#include <algorithm>

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// Bilinear interpolation along one axis: result i is low_weight[i] x[low[i]] + high_weight[i]
// x[high[i]]. PyTorch's align_corners=False: i's place is (i + 1/2) from / to - 1/2, at least 0.
struct Interpolation {
  std::vector<std::size_t> low, high;
  Values low_weight, high_weight;
  double ratio;  // from / to

  Interpolation(std::int64_t from, std::int64_t to)
      : ratio(static_cast<double>(from) / static_cast<double>(to)) {
    for (std::int64_t i = 0; i < to; ++i) {
      const double place = std::max(0.0, (static_cast<double>(i) + 0.5) * ratio - 0.5);
      const auto first = std::min(static_cast<std::int64_t>(place), from - 1);
      low.push_back(to_index(first));
      high.push_back(to_index(std::min(first + 1, from - 1)));
      high_weight.push_back(place - static_cast<double>(first));
      low_weight.push_back(1.0 - high_weight.back());
    }
  }

  // from / to, its product with the place and the subtraction of 1/2 are rounded once each.
  void round(const Signs& signs) {
    for (std::size_t i = 0; i < low.size(); ++i) {
      const double place = (static_cast<double>(i) + 0.5) * ratio;
      const double error = signs(i) * std::sqrt(3.0) * kUnitRoundoff * place;
      low_weight[i] -= error;
      high_weight[i] += error;
    }
  }
};

// x [N, C, H, W] along H and W.
ReferenceTensor interpolate(const ReferenceTensor& x, const Interpolation& rows,
                            const Interpolation& columns, int threads) {
  const std::size_t height = rows.low.size(), width = columns.low.size();
  const std::size_t in_width = to_index(x.shape[3]), in_plane = to_index(x.shape[2]) * in_width;
  const Shape shape{x.shape[0], x.shape[1], static_cast<std::int64_t>(height),
                    static_cast<std::int64_t>(width)};
  return elementwise(shape, threads, [&](std::size_t i) {
    const std::size_t plane = i / (height * width), r = i / width % height, c = i % width;
    const auto along = [&](std::size_t row) {
      const double* line = x.values.data() + plane * in_plane + row * in_width;
      return columns.low_weight[c] * line[columns.low[c]] +
             columns.high_weight[c] * line[columns.high[c]];
    };
    return rows.low_weight[r] * along(rows.low[r]) + rows.high_weight[r] * along(rows.high[r]);
  });
}

}  // namespace

template <>
ReferenceTensor evaluate(const Resize&, const Call& call) {
  const ReferenceTensor& x = call.input();
  if (x.shape == call.shape()) return x;
  Interpolation rows(x.shape[2], call.shape()[2]), columns(x.shape[3], call.shape()[3]);
  if (call.rounding) {
    rows.round(call.rounding->signs(call.name() + ".rows"));
    columns.round(call.rounding->signs(call.name() + ".columns"));
  }
  return interpolate(x, rows, columns, call.threads());
}

// Four terms; each weight takes three more roundings: of 1 - a, of 1 - b and of their product.
template <>
Values deviation(const Resize&, const Call& call, const ReferenceTensor& y) {
  const ReferenceTensor& x = call.input();
  if (x.shape == y.shape) return {};
  Interpolation rows(x.shape[2], y.shape[2]), columns(x.shape[3], y.shape[3]);
  for (Values* weights :
       {&rows.low_weight, &rows.high_weight, &columns.low_weight, &columns.high_weight}) {
    *weights = squared(std::move(*weights));
  }
  const ReferenceTensor squares =
      interpolate(squared(x, call.threads()), rows, columns, call.threads());
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    return std::hypot(sum_deviation(4.0, y.values[i], squares.values[i], true),
                      kUnitRoundoff * std::sqrt(3.0 * squares.values[i]));
  });
}

template <>
Gradients vjp(const Resize&, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  Gradients result;
  for (const ReferenceTensor* read : call.inputs) result.inputs.push_back(zeros(read->shape));
  if (x.shape == gradient.shape) {
    result.inputs[0] = gradient;
    return result;
  }
  const Interpolation rows(x.shape[2], gradient.shape[2]);
  const Interpolation columns(x.shape[3], gradient.shape[3]);
  const std::size_t height = rows.low.size(), width = columns.low.size();
  const std::size_t in_width = to_index(x.shape[3]), in_plane = to_index(x.shape[2]) * in_width;
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    const std::size_t plane = i / (height * width), r = i / width % height, c = i % width;
    const auto spread = [&](std::size_t row, double share) {
      double* line = result.inputs[0].values.data() + plane * in_plane + row * in_width;
      line[columns.low[c]] += share * columns.low_weight[c];
      line[columns.high[c]] += share * columns.high_weight[c];
    };
    spread(rows.low[r], gradient.values[i] * rows.low_weight[r]);
    spread(rows.high[r], gradient.values[i] * rows.high_weight[r]);
  }
  return result;
}

}  // namespace mobileone::reference
