// The algebra of statistics.hpp for 16 channels at a time, each with 9 x 9 moments of its own.
#include <algorithm>
#include <cmath>

#include "mobileone/backends/training/depthwise.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::training {

namespace {

using Lanes = double[kBlock];  // one number per channel of a block

// rows of [image][block][row][16] summed over images, in their order.
MOBILEONE_INLINE void total(const Depthwise& d, const float* sums, std::int64_t block,
                            std::int64_t rows, Lanes* result) {
  for (std::int64_t row = 0; row < rows; ++row) std::fill_n(result[row], kBlock, 0.0);
  for (std::int64_t image = 0; image < d.images; ++image) {
    const float* const from = sums + (image * d.blocks() + block) * rows * kBlock;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t c = 0; c < kBlock; ++c) {
        result[row][c] += static_cast<double>(from[row * kBlock + c]);
      }
    }
  }
}

// A block's part of an array with one number per channel; zero beyond the last.
void gather(const Depthwise& d, const float* values, std::int64_t block, Lanes& result) {
  const std::int64_t count = std::min(kBlock, d.channels - block * kBlock);
  for (std::int64_t c = 0; c < kBlock; ++c) {
    result[c] = c < count ? static_cast<double>(values[block * kBlock + c]) : 0.0;
  }
}

void scatter(const Depthwise& d, const Lanes& values, std::int64_t block, float* result) {
  const std::int64_t count = std::min(kBlock, d.channels - block * kBlock);
  for (std::int64_t c = 0; c < count; ++c) {
    result[block * kBlock + c] = static_cast<float>(values[c]);
  }
}

// One branch of a block: weights in the merged kernel, and what its norm makes of them.
struct BlockBranch {
  Lanes w[kTaps], mapped[kTaps];  // mapped = w C
  Lanes gamma, mean, variance, inverse;

  void gather_weights(const Depthwise& d, const BranchOperands::One& branch, const Buffers& buffers,
                      std::int64_t block) {
    gather(d, branch.gamma.address(buffers), block, gamma);
    for (Lanes& row : w) std::fill_n(row, kBlock, 0.0);
    if (branch.identity()) {
      std::fill_n(w[kTaps / 2], kBlock, 1.0);
      return;
    }
    const auto taps = static_cast<std::int64_t>(branch.taps.size());
    const std::int64_t count = std::min(kBlock, d.channels - block * kBlock);
    const float* from = branch.weight.address(buffers) + block * kBlock * taps;
    for (std::int64_t c = 0; c < count; ++c) {
      for (const std::int64_t tap : branch.taps) w[tap][c] = static_cast<double>(*from++);
    }
  }

  MOBILEONE_INLINE void measure(const Lanes* means, const Lanes* covariance, double eps) {
    std::fill_n(mean, kBlock, 0.0);
    std::fill_n(variance, kBlock, 0.0);
    for (std::int64_t t = 0; t < kTaps; ++t) {
      Lanes sum = {};
      for (std::int64_t other = 0; other < kTaps; ++other) {
        for (std::int64_t c = 0; c < kBlock; ++c) {
          sum[c] += covariance[t * kTaps + other][c] * w[other][c];
        }
      }
      for (std::int64_t c = 0; c < kBlock; ++c) {
        mapped[t][c] = sum[c];
        mean[c] += w[t][c] * means[t][c];
        variance[c] += w[t][c] * sum[c];
      }
    }
    for (std::int64_t c = 0; c < kBlock; ++c) {
      variance[c] = variance[c] < 0.0 ? 0.0 : variance[c];
      inverse[c] = 1.0 / std::sqrt(variance[c] + eps);
    }
  }
};

// Moments of the patches from sums of shifted taps and of their products.
MOBILEONE_INLINE void find_moments(const Lanes* sums, const Lanes& shift, double count, Lanes* mean,
                                   Lanes* covariance) {
  Lanes offset[kTaps];
  for (std::int64_t t = 0; t < kTaps; ++t) {
    for (std::int64_t c = 0; c < kBlock; ++c) {
      offset[t][c] = sums[t][c] / count;
      mean[t][c] = shift[c] + offset[t][c];
    }
  }
  const Lanes* products = sums + kTaps;
  for (std::int64_t t = 0; t < kTaps; ++t) {
    for (std::int64_t other = t; other < kTaps; ++other, ++products) {
      for (std::int64_t c = 0; c < kBlock; ++c) {
        const double value = (*products)[c] / count - offset[t][c] * offset[other][c];
        covariance[t * kTaps + other][c] = covariance[other * kTaps + t][c] = value;
      }
    }
  }
}

Lanes* moments_of(const Depthwise& d, const Buffers& buffers, std::int64_t block) {
  return reinterpret_cast<Lanes*>(doubles(buffers, d.moments)) + block * (kTaps + kTaps * kTaps);
}

void merge_block(const Depthwise& d, const BranchOperands& operands, ValueId sums,
                 std::int64_t block, const Buffers& buffers) {
  Lanes shift, totals[kMomentRows], weights[kTaps] = {}, bias = {};
  gather(d, floats(buffers, d.shift), block, shift);
  Lanes* const mean = moments_of(d, buffers, block);
  Lanes* const covariance = mean + kTaps;
  kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    total(d, floats(buffers, sums), block, kMomentRows, totals);
    find_moments(totals, shift, d.count, mean, covariance);
  });
  for (const BranchOperands::One& one : operands.branches) {
    BlockBranch branch;
    Lanes beta;
    branch.gather_weights(d, one, buffers, block);
    gather(d, one.beta.address(buffers), block, beta);
    kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      branch.measure(mean, covariance, one.eps);
      for (std::int64_t c = 0; c < kBlock; ++c) {
        const double scale = branch.gamma[c] * branch.inverse[c];
        bias[c] += beta[c] - scale * branch.mean[c];
        for (std::int64_t t = 0; t < kTaps; ++t) weights[t][c] += scale * branch.w[t][c];
      }
    });
    scatter(d, branch.mean, block, floats(buffers, one.mean));
    scatter(d, branch.variance, block, floats(buffers, one.variance));
  }
  float* const w = floats(buffers, d.weights) + block * kTaps * kBlock;
  for (std::int64_t i = 0; i < kTaps * kBlock; ++i) {
    w[i] = static_cast<float>(weights[i / kBlock][i % kBlock]);
  }
  for (std::int64_t c = 0; c < kBlock; ++c) {
    floats(buffers, d.bias)[block * kBlock + c] = static_cast<float>(bias[c]);
  }
}

// What flows back to the moments of a block.
struct MomentGradient {
  Lanes mean[kTaps] = {};
  Lanes covariance[kTaps * kTaps] = {};
};

// The gradients of a branch, of W and b's, and what it adds to the moments'.
void branch_gradient(const Depthwise& d, const BranchOperands::One& one, const Buffers& buffers,
                     std::int64_t block, const Lanes* gradient, MomentGradient& back) {
  const Lanes* const mean = moments_of(d, buffers, block);
  const Lanes& dbias = gradient[kTaps];
  BlockBranch branch;
  branch.gather_weights(d, one, buffers, block);
  Lanes dgamma, dw[kTaps];
  kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    branch.measure(mean, mean + kTaps, one.eps);
    Lanes product = {}, dvariance, offset, scale;
    for (std::int64_t t = 0; t < kTaps; ++t) {
      for (std::int64_t c = 0; c < kBlock; ++c) product[c] += gradient[t][c] * branch.w[t][c];
    }
    for (std::int64_t c = 0; c < kBlock; ++c) {
      const double inverse = branch.inverse[c];
      const double dscale = product[c] - dbias[c] * branch.mean[c];
      dgamma[c] = dscale * inverse;
      dvariance[c] = -0.5 * dscale * branch.gamma[c] * inverse * inverse * inverse;
      scale[c] = branch.gamma[c] * inverse;
      offset[c] = scale[c] * dbias[c];
    }
    for (std::int64_t t = 0; t < kTaps; ++t) {
      for (std::int64_t c = 0; c < kBlock; ++c) {
        dw[t][c] = scale[c] * gradient[t][c] - offset[c] * mean[t][c] +
                   2.0 * dvariance[c] * branch.mapped[t][c];
        back.mean[t][c] -= offset[c] * branch.w[t][c];
      }
      for (std::int64_t other = 0; other < kTaps; ++other) {
        for (std::int64_t c = 0; c < kBlock; ++c) {
          back.covariance[t * kTaps + other][c] +=
              dvariance[c] * branch.w[t][c] * branch.w[other][c];
        }
      }
    }
  });
  scatter(d, dgamma, block, floats(buffers, one.dgamma));
  scatter(d, dbias, block, floats(buffers, one.dbeta));
  if (one.identity()) return;
  const std::int64_t count = std::min(kBlock, d.channels - block * kBlock);
  float* to =
      floats(buffers, one.dweight) + block * kBlock * static_cast<std::int64_t>(one.taps.size());
  for (std::int64_t c = 0; c < count; ++c) {
    for (const std::int64_t tap : one.taps) *to++ = static_cast<float>(dw[tap][c]);
  }
}

// The patches' gradient 2 dC (patch - mean) / M + dm / M, of patches less the shift.
void store_factors(const Depthwise& d, const Buffers& buffers, std::int64_t block,
                   const MomentGradient& back) {
  const Lanes* const mean = moments_of(d, buffers, block);
  const float* const shift = floats(buffers, d.shift) + block * kBlock;
  float* const s = floats(buffers, d.s) + block * kTaps * kTaps * kBlock;
  float* const constant = floats(buffers, d.constant) + block * kTaps * kBlock;
  kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    for (std::int64_t t = 0; t < kTaps; ++t) {
      Lanes sum;
      for (std::int64_t c = 0; c < kBlock; ++c) sum[c] = back.mean[t][c] / d.count;
      for (std::int64_t other = 0; other < kTaps; ++other) {
        const Lanes& row = back.covariance[t * kTaps + other];
        for (std::int64_t c = 0; c < kBlock; ++c) {
          const double factor = row[c] * 2.0 / d.count;
          sum[c] += factor * (static_cast<double>(shift[c]) - mean[other][c]);
          s[(t * kTaps + other) * kBlock + c] = static_cast<float>(factor);
        }
      }
      for (std::int64_t c = 0; c < kBlock; ++c) {
        constant[t * kBlock + c] = static_cast<float>(sum[c]);
      }
    }
  });
}

}  // namespace

void add_algebra(const Depthwise& d, const BranchSum& sum, const BranchOperands& operands,
                 PlanBuilder& builder, ValueId sums) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.blocks(),
         [&](std::int64_t block, int) { merge_block(d, operands, sums, block, buffers); });
  };
  std::vector<ValueId> reads = operands.weights(), writes = operands.statistics();
  reads.insert(reads.end(), {sums, d.shift});
  writes.insert(writes.end(), {d.weights, d.bias, d.moments});
  builder.add_step(function_step(describe_part(sum, builder, "algebra", 0), run), reads, writes);
}

void add_gradient_algebra(const Depthwise& d, const BranchSum& sum, const BranchOperands& operands,
                          PlanBuilder& builder, ValueId sums) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.blocks(), [&](std::int64_t block, int) {
      Lanes gradient[kGradientRows];
      kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        total(d, floats(buffers, sums), block, kGradientRows, gradient);
      });
      MomentGradient back;
      for (const BranchOperands::One& branch : operands.branches) {
        branch_gradient(d, branch, buffers, block, gradient, back);
      }
      if (d.s >= 0) store_factors(d, buffers, block, back);
    });
  };
  std::vector<ValueId> reads = operands.weights(), writes = operands.gradients();
  reads.insert(reads.end(), {sums, d.shift, d.moments});
  if (d.s >= 0) writes.insert(writes.end(), {d.s, d.constant});
  builder.add_step(function_step(describe_part(sum, builder, "gradient algebra", 0), run), reads,
                   writes);
}

}  // namespace mobileone::training
