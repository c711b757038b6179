#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

// Everything before the last two axes is one batch of products.
void emit(const MatMul& product, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::matmul;
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId a = builder.in_layout(inputs[0], Layout::nchw());
  const ValueId b = builder.in_layout(inputs[1], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw(), true);
  const Shape& shape = builder.shape(op.result);
  const std::int64_t rows = shape[shape.size() - 2], columns = shape.back();
  const std::int64_t batch = element_count(shape) / (rows * columns);
  const Primitive::primitive_desc primitive(
      cpu_engine(), plain_desc({batch, rows, product.features}),
      plain_desc({batch, product.features, columns}), plain_desc({batch, rows, columns}),
      strict_attributes());
  add_primitive<Primitive>(op, builder, primitive,
                           {value_argument(DNNL_ARG_SRC, primitive.src_desc(), a),
                            value_argument(DNNL_ARG_WEIGHTS, primitive.weights_desc(), b),
                            value_argument(DNNL_ARG_DST, primitive.dst_desc(), dst)},
                           {a, b}, {dst});
}

}  // namespace mobileone::onednn
