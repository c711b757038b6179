#include "mobileone/backends/training/dense_sums.hpp"

#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::training {

namespace {

kernels::Columns some_blocks(const kernels::Columns& columns, std::int64_t begin,
                             std::int64_t end) {
  return {columns.data + begin * columns.block, columns.block, static_cast<int>(end - begin)};
}

// 16 rows of the covariance, gram / count - offset offset', on and above the diagonal's block.
void finish_rows(float* gram, std::int64_t slots, std::int64_t k, std::int64_t first,
                 const double* offset, double count) {
  kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    for (std::int64_t i = first; i < first + kBlock; ++i) {
      for (std::int64_t column = first; column < k; column += kBlock) {
        double totals[kBlock] = {};
        for (std::int64_t slot = 0; slot < slots; ++slot) {
          const float* const from = gram + (slot * k + i) * k + column;
          for (std::int64_t c = 0; c < kBlock; ++c) totals[c] += static_cast<double>(from[c]);
        }
        for (std::int64_t c = 0; c < kBlock; ++c) {
          gram[i * k + column + c] =
              static_cast<float>(totals[c] / count - offset[i] * offset[column + c]);
        }
      }
    }
  });
}

// Of `gradients`, which in place needs none.
std::int64_t copied_floats(const Patches& gradients) {
  return gradients.in_place() ? 0 : gradients.scratch_floats();
}

}  // namespace

std::int64_t moment_scratch_floats(const Patches& patches) {
  return 2 * patches.scratch_floats() + patches.blocks() * kBlock;
}

void sum_moments(const Patches& patches, const Slots& slots, const MomentSums& args,
                 ThreadPool* pool, const ScratchOf& scratch_of) {
  const std::int64_t k = patches.blocks() * kBlock;
  each(pool, slots.tasks(), [&](std::int64_t task, int worker) {
    const std::int64_t slot = task / slots.groups, group = task % slots.groups;
    const Range rows(patches.blocks(), slots.groups, group);
    const Range images(patches.images(), slots.slots, slot);
    float* const scratch = scratch_of(worker);
    float* const shifted = scratch + patches.scratch_floats();
    float* const spare = shifted + patches.scratch_floats();
    // Every group makes the sums, and the first one keeps them.
    float* const sums = group == 0 ? args.sums + slot * k : spare;
    float* const gram = args.gram + slot * k * k;
    std::fill_n(sums, k, 0.f);
    std::fill(gram + rows.begin * kBlock * k, gram + rows.end * kBlock * k, 0.f);
    for (std::int64_t image = images.begin; image < images.end; ++image) {
      for (std::int64_t index = 0; index < patches.parts(); ++index) {
        const Range part = patches.part(index);
        const int pixels = static_cast<int>(part.end - part.begin);
        const std::int64_t block = pixels * kBlock;
        table().shift_columns(
            {patches.read(args.x, image, part, scratch), pixels, args.shift, shifted, block, sums});
        const kernels::Columns all{shifted, block, static_cast<int>(patches.blocks())};
        table().add_outer_products({some_blocks(all, rows.begin, rows.end),
                                    some_blocks(all, rows.begin, patches.blocks()), pixels, true,
                                    gram + rows.begin * kBlock * k + rows.begin * kBlock, k});
      }
    }
  });
}

void finish_moments(const Patches& patches, const Slots& slots, const MomentSums& args,
                    double* mean, ThreadPool* pool) {
  const std::int64_t k = patches.blocks() * kBlock;
  const auto count = static_cast<double>(patches.count());
  std::vector<double> offset(static_cast<std::size_t>(k));
  for (std::int64_t t = 0; t < k; ++t) {
    double total = 0.0;
    for (std::int64_t slot = 0; slot < slots.slots; ++slot) {
      total += static_cast<double>(args.sums[slot * k + t]);
    }
    offset[static_cast<std::size_t>(t)] = total / count;
    mean[t] = static_cast<double>(args.shift[t]) + total / count;
  }
  each(pool, patches.blocks(), [&](std::int64_t block, int) {
    finish_rows(args.gram, slots.slots, k, block * kBlock, offset.data(), count);
  });
}

std::int64_t gradient_scratch_floats(const Patches& patches, const Patches& gradients) {
  return patches.scratch_floats() + copied_floats(gradients) + 2 * gradients.blocks() * kBlock;
}

void sum_weight_gradients(const Patches& patches, const Patches& gradients, const Slots& slots,
                          const GradientSums& args, ThreadPool* pool, const ScratchOf& scratch_of) {
  const std::int64_t k = patches.blocks() * kBlock, o = gradients.blocks() * kBlock;
  each(pool, slots.tasks(), [&](std::int64_t task, int worker) {
    const std::int64_t slot = task / slots.groups;
    const Range rows(gradients.blocks(), slots.groups, task % slots.groups);
    const Range images(patches.images(), slots.slots, slot);
    float* const scratch = scratch_of(worker);
    float* const copied = scratch + patches.scratch_floats();
    float* const sums = copied + copied_floats(gradients);
    float* const no_shift = sums + o;
    std::fill_n(no_shift, o, 0.f);
    float* const weight = args.dweight + (slot * o + rows.begin * kBlock) * k;
    double* const bias = args.dbias + slot * o + rows.begin * kBlock;
    const std::int64_t columns = (rows.end - rows.begin) * kBlock;
    std::fill_n(weight, columns * k, 0.f);
    std::fill_n(bias, columns, 0.0);
    for (std::int64_t image = images.begin; image < images.end; ++image) {
      for (std::int64_t index = 0; index < patches.parts(); ++index) {
        const Range part = patches.part(index);
        const int pixels = static_cast<int>(part.end - part.begin);
        const kernels::Columns left =
            some_blocks(gradients.read(args.g, image, part, copied), rows.begin, rows.end);
        std::fill_n(sums, columns, 0.f);
        table().shift_columns({left, pixels, no_shift, nullptr, 0, sums});
        for (std::int64_t i = 0; i < columns; ++i) bias[i] += static_cast<double>(sums[i]);
        table().add_outer_products(
            {left, patches.read(args.x, image, part, scratch), pixels, false, weight, k});
      }
    }
  });
}

}  // namespace mobileone::training
