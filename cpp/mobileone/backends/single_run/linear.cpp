// A linear layer on few rows, its weights read where they lie.
#include "mobileone/backends/single_run/support.hpp"

namespace mobileone::single_run {

namespace {

// Of more rows the products are most of the work, and other kernels are faster.
constexpr std::int64_t kMostRows = 64;

struct SingleLinear {
  const float *weight, *bias;  // the latter may be null
  std::int64_t in, out, rows;
  kernels::Activation activation;
  ValueId x = -1, y = -1;
  ValueId columns = -1;  // [in][row()]

  std::int64_t row() const { return padded(rows); }
};

// 16 outputs of all rows.
void run_block(const SingleLinear& d, std::int64_t block, float* scratch, const Buffers& buffers) {
  const std::int64_t first = block * kBlock, wide = std::min(kBlock, d.out - first);
  kernels::RowProducts product;
  float mean[kBlock] = {}, scale[kBlock], shift[kBlock] = {};
  std::fill_n(scale, kBlock, 1.f);
  if (d.bias) std::copy_n(d.bias + first, wide, shift);
  product.weights = d.weight + first * d.in;
  product.weights_row = d.in;
  product.x = floats(buffers, d.columns);
  product.x_row = product.y_row = d.row();
  product.outputs = static_cast<int>(wide);
  product.depth = static_cast<int>(d.in);
  product.columns = static_cast<int>(d.row());
  product.mean = mean;
  product.scale = scale;
  product.shift = shift;
  product.y = scratch;
  table().multiply_rows(product);
  if (d.activation != kernels::Activation::kNone) {
    table().finish(d.activation, nullptr, scratch, wide * d.row());
  }
  for (std::int64_t row = 0; row < d.rows; ++row) {
    float* const to = floats(buffers, d.y) + row * d.out + first;
    for (std::int64_t o = 0; o < wide; ++o) to[o] = scratch[o * d.row() + row];
  }
}

}  // namespace

bool emit_linear(const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const auto* linear = std::get_if<Linear>(&node.op);
  if (!linear) return false;
  const auto activation = kernel_activation(op.activation);
  const Shape& in = builder.shape(node.inputs[0]);
  const std::int64_t rows = element_count(in) / linear->in_features;
  if (!activation || rows > kMostRows) return false;
  SingleLinear d{float_weight(op.node, builder),
                 linear->bias ? builder.network().weight(node.name + ".bias").f32() : nullptr,
                 linear->in_features,
                 linear->out_features,
                 rows,
                 *activation};
  // Rows of features either way.
  d.x =
      builder.in_layout(node.inputs[0], linear->takes_pixels(in) ? Layout::nhwc() : Layout::nchw());
  d.y = builder.new_result(op.result, Layout::nchw(), true);
  d.columns = builder.new_temporary({d.in, d.row()});
  const ValueId x = d.x, y = d.y, columns = d.columns;
  const std::int64_t scratch = kBlock * d.row();
  const auto run = [d = std::move(d), scratch, pool = pool_of(builder)](const Buffers& buffers) {
    for (std::int64_t i = 0; i < d.in; ++i) {
      float* const to = floats(buffers, d.columns) + i * d.row();
      for (std::int64_t row = 0; row < d.row(); ++row) {
        to[row] = row < d.rows ? floats(buffers, d.x)[row * d.in + i] : 0.f;
      }
    }
    each(pool, blocks(d.out), [&](std::int64_t block, int worker) {
      run_block(d, block, scratch_of(worker, scratch, buffers), buffers);
    });
  };
  builder.add_step(
      function_step(describe(op, builder, concat("single run ", kernels::isa_name(table().isa))),
                    run, scratch_bytes(builder, scratch)),
      {x}, {y, columns});
  return true;
}

}  // namespace mobileone::single_run
