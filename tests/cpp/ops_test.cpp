// Every operator on every backend, over channels and sizes that leave remainders in every packing.
#include "check_op.hpp"

namespace mobileone {
namespace {

using testing_op::check_op;
using testing_op::gate;
using testing_op::map;
using testing_op::tokens;

Conv2d conv(std::int64_t in, std::int64_t out, Extent kernel, Extent stride,
            std::int64_t groups = 1, Extent dilation = {1, 1}, bool bias = true) {
  const Extent padding{dilation[0] * (kernel[0] - 1) / 2, dilation[1] * (kernel[1] - 1) / 2};
  return {in, out, kernel, stride, padding, dilation, groups, bias};
}

class Channels : public ::testing::TestWithParam<std::int64_t> {
 protected:
  const std::int64_t c = GetParam();
};

TEST_P(Channels, Pointwise) { check_op(conv(c, 17, {1, 1}, {1, 1}), {map(c)}); }
TEST_P(Channels, Dense) { check_op(conv(c, 16, {3, 3}, {1, 1}), {map(c)}); }
TEST_P(Channels, DenseOfStrideTwo) { check_op(conv(c, 3, {3, 3}, {2, 2}), {map(c)}); }
TEST_P(Channels, DenseWithoutBias) {
  check_op(conv(c, 48, {3, 3}, {1, 2}, 1, {1, 1}, false), {map(c)});
}
TEST_P(Channels, Dilated) { check_op(conv(c, 15, {3, 3}, {1, 1}, 1, {2, 3}), {map(c)}); }
TEST_P(Channels, OfAnOblongKernel) { check_op(conv(c, 5, {1, 5}, {2, 1}), {map(c)}); }
TEST_P(Channels, Depthwise) { check_op(conv(c, c, {3, 3}, {1, 1}, c), {map(c)}); }
TEST_P(Channels, DepthwiseOfStrideTwo) { check_op(conv(c, c, {5, 5}, {2, 2}, c), {map(c)}); }
TEST_P(Channels, DepthwiseDilated) { check_op(conv(c, c, {3, 3}, {1, 1}, c, {2, 2}), {map(c)}); }
TEST_P(Channels, DepthwiseTimesTwo) { check_op(conv(c, 2 * c, {3, 3}, {1, 1}, c), {map(c)}); }
TEST_P(Channels, Grouped) { check_op(conv(3 * c, 6, {3, 3}, {2, 1}, 3), {map(3 * c)}); }
TEST_P(Channels, WithActivation) {
  for (const ActivationFunction& row : kActivations) {
    check_op(conv(c, 17, {3, 3}, {2, 2}), {map(c)}, {Mode::eval, row.kind});
  }
}

TEST_P(Channels, BatchNorm) { check_op(BatchNorm{c}, {map(c)}); }
TEST_P(Channels, BatchNormOfTheBatch) {
  // A single value per channel has no variance.
  check_op(BatchNorm{c}, {map(c)}, {Mode::train}, {{2, 3, 1, 2}, {3, 3, 7, 13}, {1, 3, 13, 2}});
}
TEST_P(Channels, Activation) {
  for (const auto& row : kActivations) check_op(Activation{row.kind}, {map(c)});
}
TEST_P(Channels, ActivationOfTokens) {
  for (const auto& row : kActivations) check_op(Activation{row.kind}, {tokens(c)});
}
TEST_P(Channels, Add) {
  check_op(Add{}, {map(c)}, {Mode::eval, ActivationKind::silu});
  check_op(Add{}, {map(c), map(c)}, {Mode::eval, ActivationKind::relu});
  check_op(Add{}, {map(c), map(c), map(c)}, {Mode::eval, ActivationKind::hard_sigmoid});
  check_op(Add{}, {map(c), map(c), map(c), map(c)});
  check_op(Add{}, {tokens(c), tokens(c)});
}
TEST_P(Channels, Multiply) {
  check_op(Multiply{}, {map(c), map(c)});
  check_op(Multiply{}, {map(c), gate(c)}, {Mode::eval, ActivationKind::relu});
}
TEST_P(Channels, GlobalAvgPool) { check_op(GlobalAvgPool{}, {map(c)}); }
TEST_P(Channels, MaxPool) {
  check_op(MaxPool{{3, 3}, {2, 2}, {1, 1}}, {map(c)});
  const std::vector<Shape> images{{1, 3, 2, 7}, {3, 3, 7, 2}, {2, 3, 7, 13}};
  check_op(MaxPool{}, {map(c)}, {Mode::eval, ActivationKind::relu}, images);
  check_op(MaxPool{{1, 2}, {1, 1}, {0, 1}}, {map(c)}, {}, images);
}
TEST_P(Channels, Linear) {
  check_op(Linear{c, 17, true}, {tokens(c)}, {Mode::eval, ActivationKind::silu});
  check_op(Linear{c, 5, false}, {tokens(c)});
  check_op(Linear{c, 33, true}, {gate(c)});
}
TEST_P(Channels, DynamicMax) {
  for (bool shared : {false, true}) {
    const DynamicMax relu{c, 2, 1, 1, true, shared};
    check_op(relu, {map(c), gate(relu.coefficients())});
  }
  const DynamicMax shift{c, 2, 2, c % 3 == 0 ? 3 : 1, false, false};
  check_op(shift, {map(c), gate(shift.coefficients())});
}
TEST_P(Channels, LayerNorm) { check_op(LayerNorm{c}, {tokens(c)}); }
TEST_P(Channels, Attention) {
  check_op(Attention{1}, {tokens(3 * c)});
  check_op(Attention{3}, {tokens(9 * c)});
}
TEST_P(Channels, Unfold) {
  for (const Extent patch : {Extent{1, 1}, Extent{1, 2}, Extent{7, 1}}) {
    check_op(Unfold{patch}, {{testing_op::Source::Kind::map, c, patch}});
  }
}
TEST_P(Channels, Fold) {
  for (const Extent patch : {Extent{1, 1}, Extent{1, 2}, Extent{7, 1}}) {
    check_op(Fold{patch}, {tokens(c, patch), map(c)});
  }
}
TEST_P(Channels, Resize) {
  check_op(Resize{{2, 2}}, {map(c)});
  check_op(Resize{{4, 3}}, {map(c)});
  check_op(Resize{{1, 1}, {2, 3}}, {map(c)});
  check_op(Resize{}, {gate(c), map(3)});
}
TEST_P(Channels, Concat) {
  check_op(Concat{}, {map(c)});
  check_op(Concat{}, {map(c), map(16), map(3)});
}
TEST_P(Channels, ConcatAlongOtherAxes) {
  check_op(Concat{3}, {map(c), gate(c)}, {}, {{2, 3, 1, 5}});
  check_op(Concat{2}, {map(c), map(c)});
  check_op(Concat{2}, {tokens(c), tokens(5)});
}
TEST_P(Channels, Arithmetic) {
  for (const ArithmeticFunction& row : kArithmetic) {
    const Arithmetic op{row.kind};
    check_op(op, {map(c), gate(c)});
    if (row.kind == ArithmeticKind::divide) continue;  // by numbers that are not near 0
    check_op(op, {map(c), map(c)});
    check_op(op, {gate(c), map(c)}, {Mode::eval, ActivationKind::relu});
    check_op(op, {tokens(c), tokens(1)});
  }
}
TEST_P(Channels, Reduce) {
  for (const Reduction& row : kReductions) {
    for (const Integers& axes : {Integers{2, 3}, Integers{1}, Integers{3}, Integers{3, 1}}) {
      check_op(Reduce{row.kind, axes}, {map(c)});
    }
    check_op(Reduce{row.kind, {2}}, {tokens(c)});
  }
}
TEST_P(Channels, Reshape) {
  check_op(Reshape{{0, -1, 1, 1}}, {map(c)});
  check_op(Reshape{{0, 0, -1, 1}}, {map(c)});
  check_op(Reshape{{-1, 1, c, 1}}, {gate(c)});
}
TEST_P(Channels, Transpose) {
  check_op(Transpose{{0, 2, 3, 1}}, {map(c)});
  check_op(Transpose{{0, 1, 3, 2}}, {map(c)});
  check_op(Transpose{{0, 3, 1, 2}}, {gate(c)});
}
TEST_P(Channels, Slice) {
  check_op(Slice{1, c / 2, c + 3, 1}, {map(c)});
  check_op(Slice{1, 0, c, 3}, {map(c)});
  check_op(Slice{2, 0, 100, 2}, {map(c)});
  check_op(Slice{3, 1, 6, 2}, {map(c)}, {}, {{1, 3, 2, 7}, {2, 3, 7, 13}});
  check_op(Slice{2, c / 2, c, 1}, {tokens(c)});
}
TEST_P(Channels, Pad) {
  check_op(Pad{{0, 0, 1, 2}, {0, 1, 3, 0}, 0.5}, {map(c)});
  check_op(Pad{{0, 0, 2}, {0, 0, 1}}, {tokens(c)});
}
TEST_P(Channels, AvgPool) {
  check_op(AvgPool{{3, 3}, {2, 2}, {1, 1}}, {map(c)});
  check_op(AvgPool{{3, 3}, {1, 1}, {1, 1}, false}, {map(c)});
  const std::vector<Shape> images{{1, 3, 2, 7}, {3, 3, 7, 2}, {2, 3, 7, 13}};
  check_op(AvgPool{}, {map(c)}, {Mode::eval, ActivationKind::relu}, images);
  check_op(AvgPool{{1, 2}, {1, 1}, {0, 1}, false}, {map(c)}, {}, images);
}
TEST_P(Channels, MatMul) {
  check_op(MatMul{13}, {map(c), map(c)}, {}, {{1, 3, 13, 13}});
  check_op(MatMul{4}, {map(c), map(c)}, {}, {{3, 3, 4, 4}});
}
TEST_P(Channels, Softmax) {
  check_op(Softmax{3}, {map(c)});
  check_op(Softmax{1}, {map(c)});
  check_op(Softmax{2}, {tokens(c)});
}
TEST_P(Channels, Dropout) {
  check_op(Dropout{0.5}, {map(c)});
  check_op(Dropout{0.25}, {map(c)}, {Mode::train});
  check_op(Dropout{0.25}, {tokens(c)}, {Mode::train});
}
TEST_P(Channels, Dequantize) {
  check_op(Dequantize{0.03, 0}, {map(c)});
  check_op(Dequantize{1e-3, 128}, {tokens(c)});
}
TEST_P(Channels, Quantized) {
  using testing_op::check_quantized;
  check_quantized({c, 17});
  check_quantized({c, 32, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 1, 128, 3, true});
  check_quantized({c, 7, {1, 3}, {1, 2}, {2, 3}, {2, 1}, 1, 255, 255});
  check_quantized({c, c, {3, 3}, {1, 1}, {1, 1}, {1, 1}, c, 0, 0, true});
  check_quantized({c, 2 * c, {5, 5}, {2, 2}, {2, 2}, {1, 1}, c, 7, 128});
  check_quantized({3 * c, 6, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 3, 9, 200, true});
  check_quantized({c, 5, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, 100, 0, false, true});
}

INSTANTIATE_TEST_SUITE_P(Ops, Channels, ::testing::Values(1, 3, 15, 16, 17, 48));

// Longer than the tile of queries that shares a copy of the keys.
TEST(Ops, AttentionOfManyTokens) {
  check_op(Attention{2}, {tokens(3 * 10)}, {}, {{1, 3, 9, 17}, {2, 3, 5, 13}});
}

// Integers that are none, or too large; zero points and scales that are none.
TEST(Ops, QuantizedConvolutionOfBadNumbers) {
  const auto refused = [](const std::string& weight, double value, const std::string& message) {
    const Network network = testing_op::quantized_network({3, 4}, 1.0);
    Weights weights = network.weights;
    std::vector<double> values = weights.at(weight).to_doubles();
    values[1] = value;
    weights[weight] = Tensor::from_doubles(weights.at(weight).shape(), values);
    try {
      check_weights({network.graph, weights});
      ADD_FAILURE() << weight << " of " << value << " was accepted";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  };
  refused("op.weight", 128, "op.weight holds 128 at 1; expected integers of at most 127");
  refused("op.weight", 0.5, "op.weight holds 0.5 at 1");
  refused("op.weight", NAN, "op.weight holds nan at 1");
  refused("op.bias", 0x1p31, "op.bias holds");
  refused("op.multiplier", HUGE_VAL, "op.multiplier holds inf at 1; expected numbers of at most");
  QuantizedConvolution op{3, 4};
  op.input_zero_point = 256;
  EXPECT_THROW(output_shape(op, "op", {{1, 3, 2, 2}}), Error);
  EXPECT_THROW(output_shape(Quantize{0.0, 0}, "op", {{1, 3}}), Error);
  EXPECT_THROW(output_shape(Quantize{-1.0, 0}, "op", {{1, 3}}), Error);
  EXPECT_THROW(output_shape(Dequantize{1.0, 256}, "op", {{1, 3}}), Error);
  EXPECT_THROW(output_shape(QuantizedConvolution{40000, 1}, "op", {{1, 40000, 2, 2}}), Error);
}

// Beside every image's pooled map a tensor of the network's own.
TEST(Ops, ConstantOfEveryImage) {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId pooled = graph.add("pool", GlobalAvgPool{}, {input});
  const NodeId constant = graph.add("constant", Constant{{1, 3, 1, 2}}, {});
  const NodeId repeated = graph.add("repeated", Expand{}, {constant, pooled});
  const NodeId joined = graph.add("joined", Concat{3}, {repeated, pooled});
  const NodeId scale = graph.add("scale", Constant{{3, 1, 3}}, {});
  graph.output = graph.add("scaled", Arithmetic{ArithmeticKind::multiply}, {joined, scale});
  EXPECT_TRUE(graph_from_json(to_json(graph)) == graph);
  const Weights weights = testing_op::seeded_weights(graph);
  const auto network = std::make_shared<const Network>(Network{graph, weights});
  for (const Shape& shape : testing_op::awkward_images()) {
    testing_op::check_network(network, shape, Mode::eval);
    const Graph whole = testing_backward::classifier(graph, graph.output, {shape[0], 3, 1, 3},
                                                     {1, 1}, graph.find("pool"));
    const Network trained{whole, testing_op::seeded_weights(whole)};
    testing_backward::check_backward(std::make_shared<const Network>(trained), shape, 9, "");
  }
}

}  // namespace
}  // namespace mobileone
