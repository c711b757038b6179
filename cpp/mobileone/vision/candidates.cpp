#include "mobileone/vision/candidates.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "mobileone/kernels/vectorized.hpp"

namespace mobileone {

namespace {

constexpr std::int64_t kPixels = 64;  // whose largest logits are found at once
constexpr std::size_t kAnchors = 8;   // whose exponentials are taken at once
// Smaller exponents than that change no bit of a sum in float64 that is at least 1.
constexpr double kNegligible = -37.0;

// e^x for x in [kNegligible, 0], and 0 below: Cody and Waite's reduction by ln 2 in two parts, then
// the Taylor polynomial of degree 13 (remainder 5e-18 on |r| <= ln 2 / 2). Free of branches.
MOBILEONE_INLINE double exponential(double x) {
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const double clamped = x < kNegligible ? kNegligible : x;
  const double shifted = clamped * 1.4426950408889634 + kRound;
  const double n = shifted - kRound;
  const double r = (clamped - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  double sum = (1.0 / 6227020800.0) * r + 1.0 / 479001600.0;
  sum = sum * r + 1.0 / 39916800.0;
  sum = sum * r + 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = ((sum * r + 0.5) * r + 1.0) * r + 1.0;
  std::int64_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4338000000000000 + 1023) << 52;  // 2^n
  double power;
  std::memcpy(&power, &bits, sizeof power);
  const double result = sum * power;
  return x > kNegligible ? result : 0.0;
}

// Anchors that passed, until there are enough to take their exponentials.
class Softmax {
 public:
  Softmax(const DetectionRule& rule, std::int64_t stride, double least,
          std::vector<Candidate>& candidates)
      : rule_(rule),
        stride_(stride),
        least_(least),
        candidates_(candidates),
        exponents_(static_cast<std::size_t>(rule.classes) * kAnchors),
        powers_(exponents_.size()) {}

  // `logits`: the first class's; `top`: the largest one.
  void add(const float* logits, float top, std::size_t anchor) {
    for (std::int64_t c = 0; c < rule_.classes; ++c) {
      exponents_[static_cast<std::size_t>(c) * kAnchors + count_] =
          static_cast<double>(logits[c * stride_]) - static_cast<double>(top);
    }
    anchors_[count_++] = anchor;
    if (count_ == kAnchors) flush();
  }

  void flush() {
    std::array<double, kAnchors> sums{};
    kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      for (std::size_t i = 0; i < exponents_.size(); ++i) powers_[i] = exponential(exponents_[i]);
      for (std::size_t i = 0; i < powers_.size(); i += kAnchors) {
        for (std::size_t lane = 0; lane < kAnchors; ++lane) sums[lane] += powers_[i + lane];
      }
    });
    for (std::int64_t c = 0; c < rule_.classes; ++c) {
      if (c != rule_.background) append(c, sums);
    }
    count_ = 0;
  }

 private:
  void append(std::int64_t label, const std::array<double, kAnchors>& sums) {
    const std::size_t row = static_cast<std::size_t>(label) * kAnchors;
    for (std::size_t lane = 0; lane < count_; ++lane) {
      if (!(exponents_[row + lane] > least_)) continue;
      const double score = powers_[row + lane] / sums[lane];
      if (score > rule_.score) candidates_.push_back({score, label, anchors_[lane]});
    }
  }

  const DetectionRule& rule_;
  std::int64_t stride_;
  double least_;
  std::vector<Candidate>& candidates_;
  std::vector<double> exponents_, powers_;  // [classes][kAnchors]
  std::array<std::size_t, kAnchors> anchors_{};
  std::size_t count_ = 0;
};

// Largest logits of `count` pixels: of all classes but the background, and of all. `logits`: the
// first class's.
void find_largest(const float* logits, std::int64_t stride, std::int64_t count,
                  const DetectionRule& rule, float* foremost, float* top) {
  kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    std::fill_n(foremost, count, -HUGE_VALF);
    for (std::int64_t c = 0; c < rule.classes; ++c) {
      if (c == rule.background) continue;
      const float* const row = logits + c * stride;
      for (std::int64_t i = 0; i < count; ++i) {
        foremost[i] = foremost[i] < row[i] ? row[i] : foremost[i];
      }
    }
    const float* const row = logits + rule.background * stride;
    for (std::int64_t i = 0; i < count; ++i) top[i] = row[i] < foremost[i] ? foremost[i] : row[i];
  });
}

}  // namespace

void add_candidates(const DetectorMap& map, std::size_t first, const DetectionRule& rule,
                    std::vector<Candidate>& candidates) {
  const std::int64_t pixels = map.size.height * map.size.width;
  const double least = rule.score > 0.0 ? std::log(rule.score) : -HUGE_VAL;
  Softmax softmax(rule, pixels, least, candidates);
  for (std::int64_t a = 0; a < map.anchors; ++a) {
    const float* const logits =
        map.data + (a * (kCoordinates + rule.classes) + kCoordinates) * pixels;
    for (std::int64_t begin = 0; begin < pixels; begin += kPixels) {
      const std::int64_t count = std::min(kPixels, pixels - begin);
      float foremost[kPixels], top[kPixels];
      find_largest(logits + begin, pixels, count, rule, foremost, top);
      for (std::int64_t i = 0; i < count; ++i) {
        if (!(static_cast<double>(foremost[i]) - static_cast<double>(top[i]) > least)) continue;
        const std::int64_t anchor = (begin + i) * map.anchors + a;
        softmax.add(logits + begin + i, top[i], first + static_cast<std::size_t>(anchor));
      }
    }
  }
  softmax.flush();
}

}  // namespace mobileone
