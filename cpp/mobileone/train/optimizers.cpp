#include "mobileone/train/optimizers.hpp"

#include <cmath>

#include "mobileone/base/spread.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone {

namespace {

constexpr std::int64_t kPiece = 1 << 14;  // floats of one task

// work(weight, first, count) for pieces of all weights.
template <typename Work>
void for_pieces(const std::vector<TrainedWeight>& weights, ThreadPool* pool, const Work& work) {
  struct Piece {
    std::size_t weight;
    std::int64_t first;
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (std::int64_t first = 0; first < weights[i].count; first += kPiece) {
      pieces.push_back({i, first});
    }
  }
  spread(pool, static_cast<std::int64_t>(pieces.size()),
         [&](std::int64_t begin, std::int64_t end, int) {
           for (std::int64_t at = begin; at < end; ++at) {
             const Piece& piece = pieces[static_cast<std::size_t>(at)];
             const TrainedWeight& weight = weights[piece.weight];
             work(weight, piece.first, std::min(kPiece, weight.count - piece.first));
           }
         });
}

}  // namespace

void update(const Sgd& how, const std::vector<TrainedWeight>& weights, ThreadPool* pool) {
  const auto rate = static_cast<float>(how.rate), momentum = static_cast<float>(how.momentum);
  for_pieces(weights, pool, [&](const TrainedWeight& of, std::int64_t first, std::int64_t count) {
    float* const w = of.weight + first;
    float* const velocity = of.first + first;
    const float* const gradient = of.gradient + first;
    const auto decay = static_cast<float>(of.decay);
    const bool decays = of.decay != 0.0, nesterov = how.nesterov;
    kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) {
        const float g = decays ? gradient[i] + decay * w[i] : gradient[i];
        velocity[i] = momentum * velocity[i] + g;
        w[i] -= rate * (nesterov ? g + momentum * velocity[i] : velocity[i]);
      }
    });
  });
}

void update(const AdamW& how, const std::vector<TrainedWeight>& weights, ThreadPool* pool) {
  const auto updates = static_cast<double>(how.updates);
  const auto step = static_cast<float>(how.rate / (1.0 - std::pow(how.beta1, updates)));
  const auto scale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(how.beta2, updates)));
  const auto beta1 = static_cast<float>(how.beta1), beta2 = static_cast<float>(how.beta2);
  const auto rest1 = static_cast<float>(1.0 - how.beta1);
  const auto rest2 = static_cast<float>(1.0 - how.beta2);
  const auto epsilon = static_cast<float>(how.epsilon);
  for_pieces(weights, pool, [&](const TrainedWeight& of, std::int64_t first, std::int64_t count) {
    float* const w = of.weight + first;
    float* const mean = of.first + first;
    float* const square = of.second + first;
    const float* const g = of.gradient + first;
    const auto kept = static_cast<float>(1.0 - how.rate * of.decay);
    kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < count; ++i) {
        mean[i] = beta1 * mean[i] + rest1 * g[i];
        square[i] = beta2 * square[i] + rest2 * (g[i] * g[i]);
        w[i] = kept * w[i] - step * (mean[i] / (std::sqrt(square[i]) * scale + epsilon));
      }
    });
  });
}

}  // namespace mobileone
