#include "mobileone/base/error.hpp"
#include "mobileone/graph/graph.hpp"

namespace mobileone {

namespace {

// One call per operator; `node` names the place in messages.
struct InferShape {
  const Node& node;
  const std::vector<Shape>& inputs;
  const Shape& network_input;

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(concat("[", kind_name(node.op), "] ", node.name, ": ", what));
  }

  const Shape& image(std::int64_t channels) const {
    const Shape& shape = inputs[0];
    if (shape.size() != 4) fail(concat("input has shape ", to_string(shape), "; expected 4-d"));
    if (channels >= 0 && shape[1] != channels) {
      fail(concat("input has ", shape[1], " channels; expected ", channels));
    }
    return shape;
  }

  // [..., channels], with at least one dimension before the channels.
  const Shape& last_dimension(std::int64_t channels) const {
    const Shape& shape = inputs[0];
    if (shape.size() < 2 || shape.back() != channels) {
      fail(concat("input has shape ", to_string(shape), "; expected (..., ", channels, ")"));
    }
    return shape;
  }

  const Shape& tokens(const Shape& shape) const {
    if (shape.size() != 3) fail(concat("input has shape ", to_string(shape), "; expected 3-d"));
    return shape;
  }

  // The number of positions in a patch that divides the map.
  std::int64_t check_patch(const Extent& patch, const Shape& map) const {
    if (patch[0] < 1 || patch[1] < 1 || map[2] % patch[0] != 0 || map[3] % patch[1] != 0) {
      fail(concat("map has shape ", to_string(map), "; expected multiples of the patch (", patch[0],
                  ", ", patch[1], ")"));
    }
    return patch[0] * patch[1];
  }

  Shape operator()(const Input& op) const {
    if (network_input.size() != 4 || network_input[1] != op.channels) {
      fail(concat("has shape ", to_string(network_input), "; expected (batch, ", op.channels,
                  ", height, width)"));
    }
    for (std::size_t axis : {0u, 2u, 3u}) {
      if (network_input[axis] < (axis == 0 ? 0 : 1)) {
        fail(concat("has shape ", to_string(network_input), "; extents must be positive"));
      }
    }
    return network_input;
  }

  Shape operator()(const Conv2d& op) const {
    const Shape& in = image(op.in_channels);
    Shape out{in[0], op.out_channels, 0, 0};
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const std::int64_t span = op.dilation[axis] * (op.kernel[axis] - 1) + 1;
      const std::int64_t room = in[axis + 2] + 2 * op.padding[axis] - span;
      if (room < 0) fail(concat("input ", to_string(in), " is smaller than the kernel"));
      out[axis + 2] = room / op.stride[axis] + 1;
    }
    return out;
  }

  Shape operator()(const BatchNorm& op) const { return image(op.channels); }
  Shape operator()(const Activation&) const { return inputs[0]; }

  Shape operator()(const Add&) const {
    for (const Shape& shape : inputs) {
      if (shape != inputs[0]) {
        fail(concat("adds ", to_string(inputs[0]), " and ", to_string(shape)));
      }
    }
    return inputs[0];
  }

  Shape operator()(const Multiply&) const {
    const Shape gate{inputs[0][0], inputs[0].size() > 1 ? inputs[0][1] : 1, 1, 1};
    if (inputs[1] != inputs[0] && inputs[1] != gate) {
      fail(concat("multiplies ", to_string(inputs[0]), " by ", to_string(inputs[1])));
    }
    return inputs[0];
  }

  Shape operator()(const DynamicMax& op) const {
    const Shape& in = image(op.channels);
    if (op.pieces < 1 || op.terms < 1 || op.groups < 1 || op.channels % op.groups != 0) {
      fail(concat("has ", op.pieces, " pieces, ", op.terms, " terms and ", op.groups,
                  " groups; expected positive numbers, and groups that divide ", op.channels));
    }
    const Shape expected{in[0], op.coefficients(), 1, 1};
    if (inputs[1] != expected) {
      fail(concat("coefficients have shape ", to_string(inputs[1]), "; expected ",
                  to_string(expected)));
    }
    return in;
  }

  Shape operator()(const GlobalAvgPool&) const {
    const Shape& in = image(-1);
    return {in[0], in[1], 1, 1};
  }

  Shape operator()(const Linear& op) const {
    const Shape& in = inputs[0];
    const bool pooled = in.size() == 4 && in[1] == op.in_features && in[2] == 1 && in[3] == 1;
    if (pooled) return {in[0], op.out_features};
    Shape out = last_dimension(op.in_features);
    out.back() = op.out_features;
    return out;
  }

  Shape operator()(const LayerNorm& op) const { return last_dimension(op.channels); }

  Shape operator()(const Attention& op) const {
    const Shape& in = tokens(inputs[0]);
    if (op.heads < 1 || in[2] % (3 * op.heads) != 0) {
      fail(concat("input has shape ", to_string(in), " for ", op.heads,
                  " heads; expected 3 x heads x head size features"));
    }
    return {in[0], in[1], in[2] / 3};
  }

  Shape operator()(const Unfold& op) const {
    const Shape& in = image(-1);
    const std::int64_t positions = check_patch(op.patch, in);
    return {in[0] * positions, in[2] * in[3] / positions, in[1]};
  }

  Shape operator()(const Fold& op) const {
    const Shape& in = tokens(inputs[0]);
    const Shape& map = inputs[1];
    if (map.size() != 4) fail(concat("map has shape ", to_string(map), "; expected 4-d"));
    const std::int64_t positions = check_patch(op.patch, map);
    const Shape expected{map[0] * positions, map[2] * map[3] / positions, in[2]};
    if (in != expected) {
      fail(concat("input has shape ", to_string(in), "; expected ", to_string(expected)));
    }
    return {map[0], in[2], map[2], map[3]};
  }

  Shape operator()(const Resize& op) const {
    Shape out = image(-1);
    if (inputs.size() == 2 && inputs[1].size() != 4) {
      fail(concat("second input has shape ", to_string(inputs[1]), "; expected 4-d"));
    }
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const std::int64_t multiple = op.multiple[axis];
      if (multiple < 1) fail(concat("multiple is ", multiple, "; expected at least 1"));
      std::int64_t& extent = out[axis + 2];
      extent =
          inputs.size() == 2 ? inputs[1][axis + 2] : (extent + multiple - 1) / multiple * multiple;
    }
    return out;
  }

  Shape operator()(const Concat&) const {
    Shape out = image(-1);
    out[1] = 0;
    for (const Shape& shape : inputs) {
      if (shape.size() != 4 || shape[0] != out[0] || shape[2] != out[2] || shape[3] != out[3]) {
        fail(concat("joins ", to_string(inputs[0]), " and ", to_string(shape)));
      }
      out[1] += shape[1];
    }
    return out;
  }

  Shape operator()(const Dropout& op) const {
    if (!(op.p >= 0.0 && op.p < 1.0)) fail(concat("p is ", op.p, "; expected 0 <= p < 1"));
    return inputs[0];
  }
};

}  // namespace

std::vector<Shape> infer_shapes(const Graph& graph, const Shape& input_shape) {
  std::vector<Shape> shapes;
  shapes.reserve(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    std::vector<Shape> inputs;
    for (NodeId input : node.inputs) inputs.push_back(shapes[static_cast<std::size_t>(input)]);
    shapes.push_back(std::visit(InferShape{node, inputs, input_shape}, node.op));
  }
  return shapes;
}

}  // namespace mobileone
