// Backward steps that are no operator's: sums of gradients, and the loss.
#include <cmath>

#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/vectors.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::loops {

namespace {

constexpr std::int64_t kPiece = 4096;  // floats: pieces of a few values fit the first-level cache

StepInfo info_of(const std::string& kind, const Value& value, std::size_t values) {
  StepInfo info;
  info.name = "gradient";
  info.kind = kind;
  info.implementation = "loops";
  info.input_shapes.assign(values - 1, value.shape);
  info.output_shape = value.shape;
  info.bytes = static_cast<std::int64_t>(values * value.bytes());
  return info;
}

// run(first, count) for pieces of all floats of a value, padding included.
template <typename Run>
void for_pieces(ThreadPool* pool, std::int64_t floats, const Run& run) {
  spread(pool, (floats + kPiece - 1) / kPiece, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      run(piece * kPiece, std::min(kPiece, floats - piece * kPiece));
    }
  });
}

std::int64_t floats_of(const Value& value) {
  return static_cast<std::int64_t>(value.bytes() / sizeof(float));
}

}  // namespace

std::unique_ptr<Step> sum_step(const std::vector<ValueId>& from, ValueId to,
                               const PlanBuilder& builder) {
  const Value& value = builder.value(to);
  const auto run = [=, floats = floats_of(value), pool = pool_of(builder)](const Buffers& buffers) {
    for_pieces(pool, floats, [&](std::int64_t first, std::int64_t count) {
      float* const y = output(buffers, to) + first;
      const float* const a = input(buffers, from[0]) + first;
      for (std::size_t i = 1; i < from.size(); ++i) {
        const float* const left = i == 1 ? a : y;
        const float* const right = input(buffers, from[i]) + first;
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
          for (std::int64_t k = 0; k < count; ++k) y[k] = left[k] + right[k];
        });
      }
    });
  };
  return function_step(info_of("Sum", value, from.size() + 1), run);
}

std::unique_ptr<Step> activation_gradient_step(ActivationKind kind,
                                               const ActivationGradient& values,
                                               const PlanBuilder& builder) {
  const Value& value = builder.value(values.result);
  const auto run = [=, floats = floats_of(value), pool = pool_of(builder)](const Buffers& buffers) {
    for_pieces(pool, floats, [&](std::int64_t first, std::int64_t count) {
      const float* const y = input(buffers, values.y) + first;
      const float* const gradient = input(buffers, values.gradient) + first;
      float* const result = output(buffers, values.result) + first;
      vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        if (kind == ActivationKind::relu) {
#pragma GCC ivdep
          for (std::int64_t k = 0; k < count; ++k) result[k] = y[k] > 0.f ? gradient[k] : 0.f;
        } else {  // the sigmoid
#pragma GCC ivdep
          for (std::int64_t k = 0; k < count; ++k) result[k] = gradient[k] * y[k] * (1.f - y[k]);
        }
      });
    });
  };
  return function_step(info_of(concat(to_string(kind), " backward"), value, 3), run);
}

std::unique_ptr<Step> cross_entropy_step(const CrossEntropy& values, const PlanBuilder& builder) {
  const Value& value = builder.value(values.gradient);
  const std::int64_t images = value.shape[0], classes = value.shape[1];
  const auto run = [=](const Buffers& buffers) {
    double loss = 0.0;
    for (std::int64_t image = 0; image < images; ++image) {
      const float* const z = input(buffers, values.logits) + image * classes;
      const float* const targets = input(buffers, values.targets) + image * classes;
      float* const gradient = output(buffers, values.gradient) + image * classes;
      const auto largest = static_cast<double>(*std::max_element(z, z + classes));
      double sum = 0.0, weight = 0.0, expected = 0.0;
      for (std::int64_t k = 0; k < classes; ++k) {
        const double logit = static_cast<double>(z[k]) - largest;
        const auto target = static_cast<double>(targets[k]);
        sum += std::exp(logit);
        weight += target;
        if (target != 0.0) expected += target * logit;
      }
      loss += weight * std::log(sum) - expected;
      for (std::int64_t k = 0; k < classes; ++k) {
        const double softmax = std::exp(static_cast<double>(z[k]) - largest) / sum;
        gradient[k] = static_cast<float>((weight * softmax - static_cast<double>(targets[k])) /
                                         static_cast<double>(images));
      }
    }
    *output(buffers, values.loss) = static_cast<float>(loss / static_cast<double>(images));
  };
  return function_step(info_of("CrossEntropy", value, 3), run);
}

}  // namespace mobileone::loops
