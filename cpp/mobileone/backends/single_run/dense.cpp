// Ungrouped sums, branch by branch: the patches of all images become the columns of one matrix,
// which the weights are multiplied with as they lie; norms and activation follow in L1.
#include "mobileone/backends/single_run/support.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::single_run {

namespace {

// Patches that are copied: of more floats, other backends' convolutions copy less.
constexpr std::int64_t kMostCopied = 1 << 19;

struct Term {
  const float* weight;             // null: the input itself
  std::vector<std::int64_t> taps;  // of the merged kernel, in the weight's order
  BranchNorm norm;
};

struct SingleDense {
  Conv2d conv;    // merged
  Shape in, out;  // [N, C, H, W]
  bool copied;    // whether x is NCHW, of which patches are copied
  std::vector<Term> terms;
  kernels::Activation activation;
  ValueId x = -1, y = -1;
  ValueId columns = -1;  // [taps][row()]

  std::int64_t images() const { return in[0]; }
  std::int64_t taps() const { return conv.in_channels * conv.kernel[0] * conv.kernel[1]; }
  std::int64_t pixels() const { return out[2] * out[3]; }
  std::int64_t row() const { return padded(images() * pixels()); }
  // Of a worker: results, and the rows of weights of a branch that has not all taps.
  std::int64_t scratch_floats() const { return kBlock * (row() + taps()); }
};

// A map's pixels as columns.
void copy_pixels(const SingleDense& d, const Buffers& buffers, ThreadPool* pool) {
  const std::int64_t count = blocks(d.taps()), images = d.images(), pixels = d.pixels();
  each(pool, count, [&](std::int64_t block, int) {
    const std::int64_t channels = std::min(kBlock, d.taps() - block * kBlock);
    float* const to = floats(buffers, d.columns) + block * kBlock * d.row();
    for (std::int64_t image = 0; image < images; ++image) {
      const float* const from = floats(buffers, d.x) + (image * count + block) * pixels * kBlock;
      table().block_to_planes({static_cast<int>(channels), pixels, d.row()}, from, nullptr,
                              to + image * pixels);
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      std::fill(to + c * d.row() + images * pixels, to + (c + 1) * d.row(), 0.f);
    }
  });
}

// One tap of all patches of planes.
void copy_tap(const SingleDense& d, std::int64_t tap, const Buffers& buffers) {
  const Extent& kernel = d.conv.kernel;
  const std::int64_t channel = tap / (kernel[0] * kernel[1]);
  const std::int64_t top = tap / kernel[1] % kernel[0] - d.conv.padding[0];
  const std::int64_t left = tap % kernel[1] - d.conv.padding[1];
  const std::int64_t down = d.conv.stride[0], right = d.conv.stride[1], width = d.out[3];
  // The result's columns that see the plane: none, or from the first to the last.
  const std::int64_t hidden = std::max<std::int64_t>(0, -left), seen = d.in[3] - left;
  const std::int64_t first = std::min(width, (hidden + right - 1) / right);
  const std::int64_t last = std::clamp(seen > 0 ? (seen + right - 1) / right : 0, first, width);
  float* to = floats(buffers, d.columns) + tap * d.row();
  float* const next_tap = to + d.row();
  for (std::int64_t image = 0; image < d.images(); ++image) {
    const float* const plane =
        floats(buffers, d.x) + (image * d.in[1] + channel) * d.in[2] * d.in[3];
    for (std::int64_t row = 0; row < d.out[2]; ++row, to += width) {
      const std::int64_t y = row * down + top;
      const bool inside = y >= 0 && y < d.in[2];
      const std::int64_t begin = inside ? first : width, end = inside ? last : width;
      const float* const from = plane + y * d.in[3] + left;
      std::fill_n(to, begin, 0.f);
      for (std::int64_t column = begin; column < end; ++column) to[column] = from[column * right];
      std::fill(to + end, to + width, 0.f);
    }
  }
  std::fill(to, next_tap, 0.f);
}

// Its numbers as kernels take them.
struct NormFloats {
  float mean[kBlock], scale[kBlock], shift[kBlock];

  explicit NormFloats(const BlockNorm& norm) {
    for (std::int64_t c = 0; c < kBlock; ++c) {
      mean[c] = static_cast<float>(norm.mean[c]);
      scale[c] = static_cast<float>(norm.scale[c]);
      shift[c] = static_cast<float>(norm.shift[c]);
    }
  }
};

// rows += the norm of the same channels of the input.
void add_identity(const NormFloats& norm, const float* x, std::int64_t row, std::int64_t wide,
                  float* rows) {
  for (std::int64_t c = 0; c < wide; ++c) {
    const float* const from = x + c * row;
    float* const to = rows + c * row;
    const float mean = norm.mean[c], scale = norm.scale[c], shift = norm.shift[c];
    kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < row; ++i) to[i] += (from[i] - mean) * scale + shift;
    });
  }
}

// The rows of a block's outputs: as they lie, or spread over all taps of the merged kernel.
const float* rows_of(const SingleDense& d, const Term& term, std::int64_t first, std::int64_t wide,
                     float* scratch) {
  const auto taps = static_cast<std::int64_t>(term.taps.size());
  const float* const from = term.weight + first * taps;
  if (taps == d.taps()) return from;
  std::fill_n(scratch, wide * d.taps(), 0.f);
  for (std::int64_t i = 0; i < wide * taps; ++i) {
    scratch[i / taps * d.taps() + term.taps[static_cast<std::size_t>(i % taps)]] = from[i];
  }
  return scratch;
}

// 16 outputs of all pixels.
void run_block(const SingleDense& d, std::int64_t block, float* scratch, const Buffers& buffers) {
  const std::int64_t first = block * kBlock, row = d.row();
  const std::int64_t wide = std::min(kBlock, d.out[1] - first);
  kernels::RowProducts product;
  product.x = floats(buffers, d.columns);
  product.x_row = product.y_row = row;
  product.outputs = static_cast<int>(wide);
  product.weights_row = d.taps();
  product.depth = static_cast<int>(d.taps());
  product.columns = static_cast<int>(row);
  product.y = scratch;
  for (const Term& term : d.terms) {
    const NormFloats norm(BlockNorm(term.norm, block));
    if (!term.weight) {
      add_identity(norm, product.x + first * row, row, wide, scratch);
      continue;
    }
    product.weights = rows_of(d, term, first, wide, scratch + kBlock * row);
    product.mean = norm.mean;
    product.scale = norm.scale;
    product.shift = norm.shift;
    table().multiply_rows(product);
    product.add = true;
  }
  if (d.activation != kernels::Activation::kNone) {
    table().finish(d.activation, nullptr, scratch, wide * row);
  }
  for (std::int64_t image = 0; image < d.images(); ++image) {
    table().planes_to_block(
        {static_cast<int>(wide), d.pixels(), row}, scratch + image * d.pixels(),
        floats(buffers, d.y) + (image * blocks(d.out[1]) + block) * d.pixels() * kBlock);
  }
}

// Products first, which the rest is added to; none where an identity is no pixel of the input.
std::vector<Term> terms_of(const BranchSum& sum, const PlanBuilder& builder) {
  std::vector<Term> terms, identities;
  for (const Branch& branch : sum.branches) {
    const BranchNorm norm(branch, sum.merged.out_channels, builder);
    if (branch.conv < 0) {
      identities.push_back({nullptr, {}, norm});
    } else {
      terms.push_back({float_weight(branch.conv, builder), branch.taps, norm});
    }
  }
  terms.insert(terms.end(), identities.begin(), identities.end());
  return terms;
}

}  // namespace

bool emit_dense(const BranchSum& sum, PlanBuilder& builder) {
  const Conv2d& conv = sum.merged;
  const auto activation = kernel_activation(sum.op.activation);
  if (!activation) return false;
  const bool planes = builder.value(builder.value_of(sum.input)).layout == Layout::nchw();
  const bool pixelwise =
      conv.kernel == Extent{1, 1} && conv.stride == Extent{1, 1} && conv.padding == Extent{0, 0};
  const bool identity = std::any_of(sum.branches.begin(), sum.branches.end(),
                                    [](const Branch& branch) { return branch.conv < 0; });
  SingleDense d{conv,
                builder.shape(sum.input),
                builder.shape(sum.op.result),
                !pixelwise || (planes && !identity),
                terms_of(sum, builder),
                *activation};
  if (d.copied && (identity || d.taps() * d.row() > kMostCopied)) return false;
  d.x = builder.in_layout(sum.input, d.copied ? Layout::nchw() : map_layout());
  d.y = builder.new_result(sum.op.result, map_layout());
  d.columns = builder.new_temporary({d.taps(), d.row()});
  const ValueId x = d.x, y = d.y, columns = d.columns;
  const std::size_t scratch = scratch_bytes(builder, d.scratch_floats());
  const auto run = [d = std::move(d), pool = pool_of(builder)](const Buffers& buffers) {
    if (d.copied) {
      each(pool, d.taps(), [&](std::int64_t tap, int) { copy_tap(d, tap, buffers); });
    } else {
      copy_pixels(d, buffers, pool);
    }
    each(pool, blocks(d.out[1]), [&](std::int64_t block, int worker) {
      run_block(d, block, scratch_of(worker, d.scratch_floats(), buffers), buffers);
    });
  };
  builder.add_step(function_step(describe_sum(sum, builder), run, scratch), {x}, {y, columns});
  return true;
}

}  // namespace mobileone::single_run
