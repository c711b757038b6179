// Products of matrices whose rows lie one after another.
#include <cstring>

#include "mobileone/backends/training/linear.hpp"

namespace mobileone::training {

namespace {

constexpr std::int64_t kPartFloats = 1 << 16;  // of a part of x and y: in the second-level cache
constexpr std::int64_t kLeastRows = 28, kMostRows = 392;
constexpr std::int64_t kLeastTasks = 8;

std::int64_t parts_of(std::int64_t rows, std::int64_t columns) {
  const std::int64_t wanted = std::clamp(kPartFloats / columns, kLeastRows, kMostRows);
  return (rows + wanted - 1) / wanted;
}

// copy(row, block, floats of the block) for each.
template <typename Copy>
void for_blocks(std::int64_t columns, Range rows, Range blocks, const Copy& copy) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
      copy(row, block, std::min(kBlock, columns - block * kBlock));
    }
  }
}

// The other way round than copy_columns.
void copy_rows(const float* from, std::int64_t columns, Range rows, Range blocks, float* to) {
  const std::int64_t step = (rows.end - rows.begin) * kBlock;
  for_blocks(columns, rows, blocks, [&](std::int64_t row, std::int64_t block, std::int64_t count) {
    const float* const at = from + (block - blocks.begin) * step + (row - rows.begin) * kBlock;
    float* const result = to + row * columns + block * kBlock;
    std::memcpy(result, at, static_cast<std::size_t>(count) * sizeof(float));
  });
}

// The panels of w [from][to], and the bias [padded(to)].
struct PackedProduct {
  ValueId panels, bias;
};

void pack(const RowProduct& product, const PackedProduct& packed, const Buffers& buffers,
          ThreadPool* pool) {
  const float* const w = product.weight.address(buffers);
  float* const offsets = floats(buffers, packed.bias);
  std::fill_n(offsets, padded(product.to), 0.f);
  if (product.bias) std::copy_n(product.bias.address(buffers), product.to, offsets);
  each(pool, panel_count(product.to), [&](std::int64_t panel, int) {
    pack_panel(
        panel, product.from, product.to,
        [&](std::int64_t k, std::int64_t n) {
          return product.transposed ? w[n * product.from + k] : w[k * product.to + n];
        },
        floats(buffers, packed.panels));
  });
}

void multiply(const LinearRows& rows, const RowProduct& product, const PackedProduct& packed,
              const Buffers& buffers, ThreadPool* pool) {
  // A few rows are shared out by columns of the result.
  const std::int64_t panels = panel_count(product.to);
  const std::int64_t groups = std::min(panels, (kLeastTasks + rows.parts - 1) / rows.parts);
  each(pool, rows.parts * groups, [&](std::int64_t task, int worker) {
    const Range part = rows.part(task / groups), group(panels, groups, task % groups);
    const std::int64_t wide = table().traits.panel_blocks;
    const Range columns{group.begin * wide, std::min(group.end * wide, blocks(product.to))};
    float* const scratch = scratch_of(worker, product_floats(rows), buffers);
    float* const result = scratch + rows.part_floats(product.from);
    const float* const x = floats(buffers, product.x);
    const int k_blocks = static_cast<int>(blocks(product.from));
    kernels::Product args;
    args.terms[0] = {copy_columns(x, product.from, part, {0, blocks(product.from)}, scratch),
                     floats(buffers, packed.panels) +
                         kernels::panel_floats(k_blocks, static_cast<int>(columns.begin))};
    args.rows = static_cast<int>(part.end - part.begin);
    args.n_blocks = static_cast<int>(columns.end - columns.begin);
    args.bias = floats(buffers, packed.bias) + columns.begin * kBlock;
    args.floor = product.floor;
    args.y = result;
    args.y_block = args.rows * kBlock;
    table().multiply(args);
    copy_rows(result, product.to, part, columns, floats(buffers, product.y));
  });
}

}  // namespace

LinearRows::LinearRows(const Linear& linear, std::int64_t count)
    : rows(count),
      in(linear.in_features),
      out(linear.out_features),
      parts(parts_of(count, padded(in) + padded(out))),
      slots(parts, padded(in) * padded(out), blocks(out)) {}

kernels::Columns copy_columns(const float* from, std::int64_t columns, Range rows, Range blocks,
                              float* to) {
  const std::int64_t step = (rows.end - rows.begin) * kBlock;
  for_blocks(columns, rows, blocks, [&](std::int64_t row, std::int64_t block, std::int64_t count) {
    const float* const at = from + row * columns + block * kBlock;
    float* const result = to + (block - blocks.begin) * step + (row - rows.begin) * kBlock;
    if (count == kBlock) {
      std::memcpy(result, at, kBlock * sizeof(float));
    } else {
      std::fill(std::copy_n(at, count, result), result + kBlock, 0.f);
    }
  });
  return {to, step, static_cast<int>(blocks.end - blocks.begin)};
}

std::int64_t product_floats(const LinearRows& rows) {
  return rows.part_floats(rows.in) + rows.part_floats(rows.out);
}

void add_product(const LinearRows& rows, const RowProduct& product, StepInfo info,
                 PlanBuilder& builder) {
  const PackedProduct packed{builder.new_temporary({padded(product.from), padded(product.to)}),
                             builder.new_temporary({padded(product.to)})};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    pack(product, packed, buffers, pool);
    multiply(rows, product, packed, buffers, pool);
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({product.weight, product.bias});
  reads.push_back(product.x);
  builder.add_step(
      function_step(std::move(info), run, scratch_bytes(builder, product_floats(rows))), reads,
      {product.y, packed.panels, packed.bias});
}

}  // namespace mobileone::training
