#include "mobileone/reference/operators.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

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

double activated(double x, ActivationKind kind) {
  switch (kind) {
    case ActivationKind::relu:
      return x < 0.0 ? 0.0 : x;  // written so that NaN stays NaN
    case ActivationKind::sigmoid:
      return sigmoid(x);
    case ActivationKind::gelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case ActivationKind::silu:
      return x * sigmoid(x);
    case ActivationKind::hard_sigmoid:
      return std::clamp(x / 6.0 + 0.5, 0.0, 1.0);
  }
  return x;
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
  return elementwise(x.shape, threads, [&](std::size_t i) { return activated(x.values[i], kind); });
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

Values dynamic_coefficients(const DynamicMax& op, const ReferenceTensor& s) {
  Values values = s.values;
  const auto count = static_cast<std::size_t>(op.coefficients());
  const auto width = count / static_cast<std::size_t>(op.vectors());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto vector = static_cast<std::int64_t>(i % count / width);
    values[i] = op.factor(vector) * values[i] + op.constant(vector);
  }
  return values;
}

ReferenceTensor dynamic_max(const ReferenceTensor& x, const DynamicMax& op,
                            const Values& coefficients, bool squares, int threads) {
  const auto channels = static_cast<std::size_t>(op.channels), plane = plane_size(x.shape);
  const std::size_t width = op.shared ? 1 : channels;
  const auto pieces = static_cast<std::size_t>(op.pieces);
  const auto terms = static_cast<std::size_t>(op.terms);
  const std::size_t step = channels / static_cast<std::size_t>(op.groups);
  return elementwise(x.shape, threads, [&](std::size_t i) {
    const std::size_t image = i / plane / channels, c = i / plane % channels, pixel = i % plane;
    const double* own = coefficients.data() + image * static_cast<std::size_t>(op.coefficients()) +
                        (op.shared ? 0 : c);
    double largest = 0.0, result = 0.0;
    for (std::size_t k = 0; k < pieces; ++k) {
      double sum = op.offsets ? own[(pieces * terms + k) * width] : 0.0;
      double square = sum * sum;
      for (std::size_t j = 0; j < terms; ++j) {
        const std::size_t from = (image * channels + (c + j * step) % channels) * plane + pixel;
        const double term = own[(k * terms + j) * width] * x.values[from];
        sum += term;
        square += term * term;
      }
      // NaN wins: nothing is larger than it.
      if (k == 0 || !(sum <= largest)) {
        largest = sum;
        result = squares ? square : sum;
      }
    }
    return result;
  });
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
