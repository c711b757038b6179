// The small matrices between the moments of the patches and the merged convolution.
#include <limits>
#include <memory>

#include "mobileone/backends/training/dense.hpp"
#include "mobileone/backends/training/dense_sums.hpp"
#include "mobileone/backends/training/statistics.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::training {

namespace {

constexpr std::int64_t kRows = 64;  // outputs that one task maps

std::int64_t row_parts(const Dense& d) { return (d.outputs + kRows - 1) / kRows; }

}  // namespace

namespace {

// A panel of the symmetric matrix whose blocks on and above the diagonal are given.
void pack_symmetric(const float* upper, std::int64_t k, std::int64_t panel, float* packed) {
  const std::int64_t wide = table().traits.panel_blocks * kBlock;
  const std::int64_t first = panel * wide, columns = std::min(wide, k - first);
  float* const to = packed + first * k;
  for (std::int64_t column = first; column < first + columns; column += kBlock) {
    for (std::int64_t row = 0; row < k; row += kBlock) {
      for (std::int64_t i = 0; i < kBlock; ++i) {
        float* const out = to + (row + i) * columns + column - first;
        for (std::int64_t c = 0; c < kBlock; ++c) {
          out[c] =
              row <= column ? upper[(row + i) * k + column + c] : upper[(column + c) * k + row + i];
        }
      }
    }
  }
}

}  // namespace

void add_covariance(const Dense& d, const BranchSum& sum, PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    float* const gram = floats(buffers, d.gram);
    finish_moments(d.patches, d.gram_slots,
                   {floats(buffers, d.x), floats(buffers, d.shift), floats(buffers, d.sums), gram},
                   doubles(buffers, d.mean), pool);
    for (std::int64_t i = 0; i < k; ++i) {
      doubles(buffers, d.diagonal)[i] = static_cast<double>(gram[i * k + i]);
    }
    each(pool, panel_count(d.taps()), [&](std::int64_t panel, int) {
      pack_symmetric(gram, k, panel, floats(buffers, d.covariance));
    });
  };
  builder.add_step(function_step(describe_part(sum, builder, "covariance", 0), run),
                   {d.shift, d.sums, d.gram}, {d.gram, d.mean, d.diagonal, d.covariance});
}

namespace {

// A branch's weights of some outputs as columns, zero where it has no tap.
void lay_out(const Dense& d, const BranchOperands::One& branch, const float* weight, Range rows,
             float* columns) {
  const auto taps = static_cast<std::int64_t>(branch.taps.size());
  if (taps == d.taps()) {  // all of them, in order
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      for (std::int64_t tap = 0; tap < taps; tap += kBlock) {
        float* const to = columns + (tap / kBlock * d.outputs + row) * kBlock;
        const std::int64_t count = std::min(kBlock, taps - tap);
        std::copy_n(weight + row * taps + tap, count, to);
        std::fill(to + count, to + kBlock, 0.f);
      }
    }
    return;
  }
  for (std::int64_t block = 0; block < d.tap_blocks(); ++block) {
    float* const to = columns + block * d.outputs * kBlock;
    std::fill(to + rows.begin * kBlock, to + rows.end * kBlock, 0.f);
  }
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int64_t i = 0; i < taps; ++i) {
      const std::int64_t tap = branch.taps[static_cast<std::size_t>(i)];
      columns[(tap / kBlock * d.outputs + row) * kBlock + tap % kBlock] = weight[row * taps + i];
    }
  }
}

// A row of columns times another one, or times a vector.
template <typename Other>
MOBILEONE_INLINE double dot(const Dense& d, const float* columns, std::int64_t row,
                            const Other& other) {
  double sums[kBlock] = {};
  for (std::int64_t block = 0; block < d.tap_blocks(); ++block) {
    const float* const from = columns + (block * d.outputs + row) * kBlock;
    const auto* const with = other(block);
    for (std::int64_t c = 0; c < kBlock; ++c) {
      sums[c] += static_cast<double>(from[c]) * static_cast<double>(with[c]);
    }
  }
  double sum = 0.0;
  for (const double part : sums) sum += part;
  return sum;
}

// w C, and every branch's means and variances.
void map_branches(const Dense& d, const BranchOperands& operands, const std::vector<float>& zeros,
                  ThreadPool* pool, const Buffers& buffers) {
  each(pool, d.num_branches * row_parts(d), [&](std::int64_t task, int) {
    const std::int64_t index = task / row_parts(d);
    const Range rows(d.outputs, row_parts(d), task % row_parts(d));
    const BranchOperands::One& branch = operands.branches[static_cast<std::size_t>(index)];
    double* const norms = doubles(buffers, d.norms) + index * d.outputs * 2;
    if (branch.identity()) {
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        const std::int64_t tap = row * (d.taps() / d.outputs) + d.centre;
        norms[2 * row] = doubles(buffers, d.mean)[tap];
        norms[2 * row + 1] = doubles(buffers, d.diagonal)[tap];
      }
      return;
    }
    float* const weights = floats(buffers, d.branch_weights) + index * d.branch_floats();
    float* const mapped = floats(buffers, d.mapped) + index * d.branch_floats();
    lay_out(d, branch, branch.weight.address(buffers), rows, weights);
    kernels::Product product;
    product.terms[0] = {d.branch_columns(weights, 0, rows.begin), floats(buffers, d.covariance)};
    product.rows = static_cast<int>(rows.end - rows.begin);
    product.n_blocks = static_cast<int>(d.tap_blocks());
    product.bias = zeros.data();
    product.floor = -std::numeric_limits<float>::infinity();
    product.y = mapped + rows.begin * kBlock;
    product.y_block = d.outputs * kBlock;
    table().multiply(product);
    const double* const mean = doubles(buffers, d.mean);
    kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        norms[2 * row] =
            dot(d, weights, row, [&](std::int64_t block) { return mean + block * kBlock; });
        norms[2 * row + 1] = dot(d, weights, row, [&](std::int64_t block) {
          return mapped + (block * d.outputs + row) * kBlock;
        });
      }
    });
  });
}

// Rows of W, the bias, and what the plan hands out of the branches' statistics.
void merge_rows(const Dense& d, const BranchOperands& operands, Range rows,
                const Buffers& buffers) {
  const std::int64_t k = d.tap_blocks() * kBlock;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    float* const merged = floats(buffers, d.merged) + row * k;
    std::fill_n(merged, k, 0.f);
    double constant = 0.0;
    for (std::int64_t index = 0; index < d.num_branches; ++index) {
      const BranchOperands::One& branch = operands.branches[static_cast<std::size_t>(index)];
      const ChannelNorm norm = norm_of(d, branch, index, row, buffers);
      const double scale = norm.scale();
      constant += static_cast<double>(branch.beta.address(buffers)[row]) - scale * norm.mean;
      floats(buffers, branch.mean)[row] = static_cast<float>(norm.mean);
      floats(buffers, branch.variance)[row] = static_cast<float>(std::max(norm.variance, 0.0));
      if (branch.identity()) {
        merged[row * (d.taps() / d.outputs) + d.centre] += static_cast<float>(scale);
        continue;
      }
      const float* const weights = floats(buffers, d.branch_weights) + index * d.branch_floats();
      const auto factor = static_cast<float>(scale);
      kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
        for (std::int64_t block = 0; block < d.tap_blocks(); ++block) {
          const float* const from = weights + (block * d.outputs + row) * kBlock;
          for (std::int64_t c = 0; c < kBlock; ++c) merged[block * kBlock + c] += factor * from[c];
        }
      });
    }
    floats(buffers, d.bias)[row] = static_cast<float>(constant);
  }
}

}  // namespace

ChannelNorm norm_of(const Dense& d, const BranchOperands::One& branch, std::int64_t index,
                    std::int64_t row, const Buffers& buffers) {
  const double* const norms = doubles(buffers, d.norms) + (index * d.outputs + row) * 2;
  return {norms[0], norms[1], static_cast<double>(branch.gamma.address(buffers)[row]), branch.eps};
}

void branch_gradient(const Dense& d, const BranchOperands& operands, std::int64_t index,
                     std::int64_t row, const std::vector<double>& dweight, double dbias,
                     const Buffers& buffers) {
  const BranchOperands::One& branch = operands.branches[static_cast<std::size_t>(index)];
  const ChannelNorm norm = norm_of(d, branch, index, row, buffers);
  const float* const weights = floats(buffers, d.branch_weights) + index * d.branch_floats();
  const float* const mapped = floats(buffers, d.mapped) + index * d.branch_floats();
  double product = 0.0;
  if (branch.identity()) {
    product = dweight[static_cast<std::size_t>(row * (d.taps() / d.outputs) + d.centre)];
  } else {
    kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      product =
          dot(d, weights, row, [&](std::int64_t block) { return dweight.data() + block * kBlock; });
    });
  }
  const ChannelGradient back(norm, product, dbias);
  floats(buffers, branch.dgamma)[row] = static_cast<float>(back.gamma);
  floats(buffers, branch.dbeta)[row] = static_cast<float>(dbias);
  if (d.back >= 0) {
    double* const values = doubles(buffers, d.back) + (index * d.outputs + row) * 2;
    values[0] = back.variance;
    values[1] = back.offset;
  }
  if (branch.identity()) return;
  float* const scaled =
      d.scaled < 0 ? nullptr : floats(buffers, d.scaled) + index * d.branch_floats();
  const double* const mean = doubles(buffers, d.mean);
  std::vector<float> whole(static_cast<std::size_t>(d.tap_blocks() * kBlock));
  kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    const double scale = norm.scale(), slope = 2.0 * back.variance;
    const auto factor = static_cast<float>(back.variance);
    for (std::int64_t block = 0; block < d.tap_blocks(); ++block) {
      const std::int64_t at = (block * d.outputs + row) * kBlock;
      for (std::int64_t c = 0; c < kBlock; ++c) {
        const std::int64_t tap = block * kBlock + c;
        whole[static_cast<std::size_t>(tap)] = static_cast<float>(
            scale * dweight[static_cast<std::size_t>(tap)] - back.offset * mean[tap] +
            slope * static_cast<double>(mapped[at + c]));
      }
      if (scaled == nullptr) continue;
      for (std::int64_t c = 0; c < kBlock; ++c) scaled[at + c] = factor * weights[at + c];
    }
  });
  const std::size_t taps = branch.taps.size();
  float* const own = floats(buffers, branch.dweight) + static_cast<std::size_t>(row) * taps;
  for (std::size_t i = 0; i < taps; ++i) own[i] = whole[static_cast<std::size_t>(branch.taps[i])];
}

void add_algebra(const Dense& d, const BranchSum& sum, const BranchOperands& operands,
                 PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock;
  const auto run = [=, zeros = std::vector<float>(static_cast<std::size_t>(k)),
                    pool = pool_of(builder)](const Buffers& buffers) {
    map_branches(d, operands, zeros, pool, buffers);
    const std::int64_t wide = table().traits.panel_blocks * kBlock;
    each(pool, panel_count(d.outputs), [&](std::int64_t panel, int) {
      Range rows(d.outputs, 1, 0);
      rows.begin = panel * wide;
      rows.end = std::min(d.outputs, rows.begin + wide);
      merge_rows(d, operands, rows, buffers);
      const float* const merged = floats(buffers, d.merged);
      pack_panel(
          panel, d.taps(), d.outputs,
          [&](std::int64_t tap, std::int64_t row) { return merged[row * k + tap]; },
          floats(buffers, d.panels));
    });
    std::fill(floats(buffers, d.bias) + d.outputs,
              floats(buffers, d.bias) + d.output_blocks() * kBlock, 0.f);
  };
  std::vector<ValueId> reads = operands.weights(), writes = operands.statistics();
  reads.insert(reads.end(), {d.mean, d.diagonal, d.covariance});
  writes.insert(writes.end(), {d.branch_weights, d.mapped, d.norms, d.merged, d.panels, d.bias});
  const std::int64_t macs = d.num_branches * d.outputs * k * k;
  builder.add_step(function_step(describe_part(sum, builder, "algebra", macs), run), reads, writes);
}

}  // namespace mobileone::training
