// What every operator states about itself, in its file under graph/ops/; a part that is missing
// does not compile. Weights live in Network, found by the node's name: "<node>.weight", ...
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mobileone/base/tensor.hpp"
#include "mobileone/graph/attributes.hpp"

namespace mobileone {

// How many inputs an operator has.
struct Arity {
  std::size_t least = 1, most = 1;
};
inline constexpr std::size_t kAnyNumber = 1024;

// What the layers below may know of an operator without knowing which it is.
struct Traits {
  // An activation after it can be applied to its results before they are stored.
  bool takes_activation = false;
  // Element i of the result depends on element i of every input alone.
  bool elementwise = false;
  // The last of two inputs says how large the result is, and is not read.
  bool lends_shape = false;
};

// A weight that a node reads.
struct Parameter {
  std::string name;
  Shape shape;
  DType dtype = DType::float32;
  bool trainable = true;               // false for running statistics and for integers
  bool integers = false;               // as float32 numbers
  std::optional<double> largest = {};  // magnitude; none: it may hold any number, and NaN
};

// An operator of ONNX (operator sets 13 and later) that does the same. Its inputs are the node's,
// then the node's float32 weights in their order.
struct OnnxOperator {
  std::string type;
  Attributes attributes;
};

// The shapes of one node's inputs. An Input node's is that of what the network is given.
class InputShapes {
 public:
  InputShapes(const char* kind, const std::string& node, std::vector<Shape> shapes)
      : kind_(kind), node_(node), shapes_(std::move(shapes)) {}

  std::size_t size() const { return shapes_.size(); }
  const Shape& operator[](std::size_t i) const { return shapes_[i]; }
  std::vector<Shape>::const_iterator begin() const { return shapes_.begin(); }
  std::vector<Shape>::const_iterator end() const { return shapes_.end(); }

  // Throws Error: "[<kind>] <node>: ", then the arguments.
  template <typename... Args>
  [[noreturn]] void fail(const Args&... what) const {
    throw Error(concat("[", kind_, "] ", node_, ": ", what...));
  }

  // The first input, which must be [N, C, H, W], with that many channels unless they are -1.
  const Shape& image(std::int64_t channels = -1) const;
  // The first input, which must be [..., channels], with a dimension before the channels.
  const Shape& rows(std::int64_t channels) const;
  // The first input, which must be [B, N, C].
  const Shape& tokens() const;

 private:
  const char* kind_;
  const std::string& node_;
  std::vector<Shape> shapes_;
};

template <typename T>
concept Operator =
    HasFields<T> && std::equality_comparable<T> &&
    requires(const T& op, const InputShapes& inputs, const Shape& result, const std::string& node) {
      { T::name } -> std::convertible_to<const char*>;  // "Conv2d"
      { T::arity } -> std::convertible_to<Arity>;
      { T::traits } -> std::convertible_to<Traits>;
      // Throws Error, by InputShapes::fail, where the inputs do not fit.
      { op.output_shape(inputs) } -> std::same_as<Shape>;
      // The weights that a node of this name reads, in PyTorch's order.
      { op.parameters(node) } -> std::same_as<std::vector<Parameter>>;
      // Multiply-accumulates of products that are summed, for a result of this shape: biases,
      // norms, activations and pooling have none.
      { op.macs(result) } -> std::same_as<std::int64_t>;
      // Nothing where it takes several of ONNX's operators, or one that depends on their version.
      { op.onnx() } -> std::same_as<std::optional<OnnxOperator>>;
    };

}  // namespace mobileone
