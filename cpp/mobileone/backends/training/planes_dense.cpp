#include <limits>

#include "mobileone/backends/training/dense_sums.hpp"
#include "mobileone/backends/training/planes.hpp"

namespace mobileone::training {

namespace {

std::unique_ptr<float[]> memory(std::int64_t floats) {
  return std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(floats));
}

// w(row, column) as panels.
template <typename Weight>
std::unique_ptr<float[]> panels_of(std::int64_t rows, std::int64_t columns, const Weight& w,
                                   ThreadPool* pool) {
  auto packed = memory(padded(rows) * padded(columns));
  each(pool, panel_count(columns),
       [&](std::int64_t panel, int) { pack_panel(panel, rows, columns, w, packed.get()); });
  return packed;
}

// task(image, part, worker) for all.
template <typename Task>
void for_parts(const Patches& patches, ThreadPool* pool, const Task& task) {
  each(pool, patches.images() * patches.parts(), [&](std::int64_t index, int worker) {
    task(index / patches.parts(), patches.part(index % patches.parts()), worker);
  });
}

}  // namespace

void plane_moments(const DensePlanes& maps, const float* x, float* mean, float* covariance,
                   ThreadPool* pool) {
  const Patches& patches = maps.patches;
  const std::int64_t taps = patches.taps(), k = patches.blocks() * kBlock;
  const Slots slots(patches.images(), k * k, patches.blocks());
  const auto shift = memory(k), sums = memory(slots.slots * k), gram = memory(slots.slots * k * k);
  const MomentSums args{x, shift.get(), sums.get(), gram.get()};
  const WorkerScratch scratch(moment_scratch_floats(patches), pool);
  patches.sample_shift(x, shift.get(), pool);
  sum_moments(patches, slots, args, pool, [&](int worker) { return scratch.of(worker); });
  std::vector<double> means(static_cast<std::size_t>(k));
  finish_moments(patches, slots, args, means.data(), pool);
  std::copy_n(means.data(), taps, mean);
  each(pool, taps, [&](std::int64_t i, int) {
    const std::int64_t first = i / kBlock * kBlock;  // of the row, what is given
    for (std::int64_t j = 0; j < first; ++j) covariance[i * taps + j] = gram[j * k + i];
    std::copy(&gram[i * k + first], &gram[i * k + taps], covariance + i * taps + first);
  });
}

void plane_convolution(const DensePlanes& maps, const PlaneConvolution& args, ThreadPool* pool) {
  const Patches &patches = maps.patches, &results = maps.results;
  const std::int64_t taps = patches.taps(), outputs = results.taps();
  const auto panels = panels_of(
      taps, outputs, [&](std::int64_t tap, std::int64_t o) { return args.weight[o * taps + tap]; },
      pool);
  std::vector<float> bias(static_cast<std::size_t>(padded(outputs)));
  std::copy_n(args.bias, outputs, bias.data());
  const WorkerScratch scratch(patches.scratch_floats() + results.scratch_floats(), pool);
  for_parts(patches, pool, [&](std::int64_t image, Range part, int worker) {
    float* const rows = scratch.of(worker) + patches.scratch_floats();
    kernels::Product product;
    product.terms[0] = {patches.read(args.x, image, part, scratch.of(worker)), panels.get()};
    product.rows = static_cast<int>(part.end - part.begin);
    product.n_blocks = static_cast<int>(results.blocks());
    product.bias = bias.data();
    product.floor = -std::numeric_limits<float>::infinity();
    product.y = rows;
    product.y_block = results.largest_part() * kBlock;
    table().multiply(product);
    results.write(rows, image, part, nullptr, args.y);
  });
}

void plane_weight_gradient(const DensePlanes& maps, const PlaneWeightGradient& args,
                           ThreadPool* pool) {
  const Patches &patches = maps.patches, &results = maps.results;
  const std::int64_t taps = patches.taps(), k = padded(taps), o = padded(results.taps());
  const Slots slots(patches.images(), o * k, results.blocks());
  const auto dweight = memory(slots.slots * o * k);
  std::vector<double> dbias(static_cast<std::size_t>(slots.slots * o));
  const WorkerScratch scratch(gradient_scratch_floats(patches, results), pool);
  sum_weight_gradients(patches, results, slots, {args.x, args.g, dweight.get(), dbias.data()}, pool,
                       [&](int worker) { return scratch.of(worker); });
  each(pool, results.taps(), [&](std::int64_t row, int) {
    double bias = 0.0;
    for (std::int64_t slot = 0; slot < slots.slots; ++slot) {
      bias += dbias[static_cast<std::size_t>(slot * o + row)];
    }
    args.dbias[row] = static_cast<float>(bias);
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      double total = 0.0;
      for (std::int64_t slot = 0; slot < slots.slots; ++slot) {
        total += static_cast<double>(dweight[(slot * o + row) * k + tap]);
      }
      args.dweight[row * taps + tap] = static_cast<float>(total);
    }
  });
}

void plane_input_gradient(const DensePlanes& maps, const PlaneInputGradient& args,
                          ThreadPool* pool) {
  const Patches &patches = maps.patches, &results = maps.results;
  const std::int64_t taps = patches.taps(), outputs = results.taps();
  const auto s_panels = panels_of(
      taps, taps, [&](std::int64_t i, std::int64_t j) { return args.s[i * taps + j]; }, pool);
  std::unique_ptr<float[]> w_panels;
  if (args.g) {
    w_panels = panels_of(
        outputs, taps,
        [&](std::int64_t o, std::int64_t tap) { return args.weight[o * taps + tap]; }, pool);
  }
  std::vector<float> constant(static_cast<std::size_t>(padded(taps)));
  each(pool, taps, [&](std::int64_t tap, int) {
    double value = static_cast<double>(args.constant[tap]);
    for (std::int64_t i = 0; i < taps; ++i) {
      value -= static_cast<double>(args.s[tap * taps + i]) * static_cast<double>(args.mean[i]);
    }
    constant[static_cast<std::size_t>(tap)] = static_cast<float>(value);
  });
  const std::int64_t x_floats = patches.scratch_floats();
  const WorkerScratch scratch(2 * x_floats + results.scratch_floats(), pool);
  for_parts(patches, pool, [&](std::int64_t image, Range part, int worker) {
    float* const copy = scratch.of(worker);
    kernels::Product product;
    product.terms[0] = {patches.read(args.x, image, part, copy), s_panels.get()};
    if (args.g) {
      product.num_terms = 2;
      product.terms[1] = {results.read(args.g, image, part, copy + 2 * x_floats), w_panels.get()};
    }
    product.rows = static_cast<int>(part.end - part.begin);
    product.n_blocks = static_cast<int>(patches.blocks());
    product.bias = constant.data();
    product.floor = -std::numeric_limits<float>::infinity();
    product.y = copy + x_floats;
    product.y_block = patches.largest_part() * kBlock;
    table().multiply(product);
    patches.write(product.y, image, part, args.grad, args.dx);
  });
}

}  // namespace mobileone::training
