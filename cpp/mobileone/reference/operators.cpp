#include "mobileone/reference/operators.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/reference/parallel.hpp"

namespace mobileone::reference {

namespace {

constexpr std::int64_t kGrain = 1 << 16;  // elements that are worth a thread

// One call of `value(i)` per element of a result of this shape.
template <typename Value>
ReferenceTensor elementwise(const Shape& shape, int threads, const Value& value) {
  ReferenceTensor y{shape, Values(static_cast<std::size_t>(element_count(shape)))};
  parallel_for(element_count(shape), kGrain, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      y.values[static_cast<std::size_t>(i)] = value(static_cast<std::size_t>(i));
    }
  });
  return y;
}

std::size_t plane_size(const Shape& shape) {
  std::int64_t size = 1;
  for (std::size_t axis = 2; axis < shape.size(); ++axis) size *= shape[axis];
  return static_cast<std::size_t>(size);
}

double sigmoid(double x) {
  // exp of a negative number only, so that nothing overflows.
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

}  // namespace

ChannelStatistics channel_statistics(const ReferenceTensor& x, int threads) {
  const auto batch = static_cast<std::size_t>(x.shape[0]);
  const auto channels = static_cast<std::size_t>(x.shape[1]);
  const std::size_t plane = plane_size(x.shape);
  const auto count = static_cast<double>(batch * plane);
  // The sum over a channel of term(value), in ascending order of image and pixel.
  const auto sum = [&](std::size_t channel, const auto& term) {
    double total = 0.0;
    for (std::size_t image = 0; image < batch; ++image) {
      const double* from = x.values.data() + (image * channels + channel) * plane;
      for (std::size_t i = 0; i < plane; ++i) total += term(from[i]);
    }
    return total;
  };
  ChannelStatistics result{Values(channels), Values(channels)};
  const std::int64_t grain = 1 + kGrain / static_cast<std::int64_t>(1 + batch * plane);
  parallel_for(x.shape[1], grain, threads, [&](std::int64_t begin, std::int64_t end) {
    for (auto c = static_cast<std::size_t>(begin); c < static_cast<std::size_t>(end); ++c) {
      const double mean = sum(c, [](double v) { return v; }) / count;
      result.mean[c] = mean;
      result.var[c] = sum(c, [=](double v) { return (v - mean) * (v - mean); }) / count;
    }
  });
  return result;
}

Affine affine(const Values& gamma, const Values& beta, const ChannelStatistics& statistics,
              double eps) {
  Affine result{Values(gamma.size()), Values(gamma.size())};
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    result.scale[c] = gamma[c] / std::sqrt(statistics.var[c] + eps);
    result.shift[c] = beta[c] - statistics.mean[c] * result.scale[c];
  }
  return result;
}

ReferenceTensor apply_affine(const ReferenceTensor& x, const Affine& affine, int threads) {
  ReferenceTensor y{x.shape, Values(x.values.size())};
  const auto plane = static_cast<std::int64_t>(plane_size(x.shape));
  parallel_for(x.shape[0] * x.shape[1], 1 + kGrain / (plane + 1), threads,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t p = begin; p < end; ++p) {
                   const auto c = static_cast<std::size_t>(p % x.shape[1]);
                   const double scale = affine.scale[c], shift = affine.shift[c];
                   std::transform(x.values.data() + p * plane, x.values.data() + (p + 1) * plane,
                                  y.values.data() + p * plane,
                                  [=](double v) { return scale * v + shift; });
                 }
               });
  return y;
}

ReferenceTensor activate(const ReferenceTensor& x, ActivationKind kind, int threads) {
  if (kind == ActivationKind::sigmoid) {
    return elementwise(x.shape, threads, [&](std::size_t i) { return sigmoid(x.values[i]); });
  }
  // Written so that NaN stays NaN.
  return elementwise(x.shape, threads,
                     [&](std::size_t i) { return x.values[i] < 0.0 ? 0.0 : x.values[i]; });
}

ReferenceTensor add(const std::vector<const ReferenceTensor*>& inputs, int threads) {
  return elementwise(inputs[0]->shape, threads, [&](std::size_t i) {
    double sum = inputs[0]->values[i];
    for (std::size_t k = 1; k < inputs.size(); ++k) sum += inputs[k]->values[i];
    return sum;
  });
}

ReferenceTensor multiply(const ReferenceTensor& x, const ReferenceTensor& factor, int threads) {
  const std::size_t plane = factor.shape == x.shape ? 1 : plane_size(x.shape);
  return elementwise(x.shape, threads,
                     [&](std::size_t i) { return x.values[i] * factor.values[i / plane]; });
}

ReferenceTensor global_average(const ReferenceTensor& x, int threads) {
  const std::size_t plane = plane_size(x.shape);
  return elementwise({x.shape[0], x.shape[1], 1, 1}, threads, [&](std::size_t i) {
    double sum = 0.0;
    for (std::size_t p = 0; p < plane; ++p) sum += x.values[i * plane + p];
    return sum / static_cast<double>(plane);
  });
}

ReferenceTensor squared(const ReferenceTensor& x, int threads) {
  return elementwise(x.shape, threads, [&](std::size_t i) { return x.values[i] * x.values[i]; });
}

Values squared(Values values) {
  for (double& value : values) value *= value;
  return values;
}

}  // namespace mobileone::reference
