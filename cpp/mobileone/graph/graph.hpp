// Graph: operators in topological order; Network: a Graph with its weights. Knows nothing of how
// either is executed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mobileone/graph/op.hpp"

namespace mobileone {

using NodeId = int;

struct Node {
  std::string name;  // module path, e.g. "stage1.0.rbr_conv.2.bn"; unique in a graph
  Op op;
  std::vector<NodeId> inputs;

  bool operator==(const Node&) const = default;
};

// A result of the graph and the name that it has outside of it.
struct Output {
  std::string key;
  NodeId node;

  bool operator==(const Output&) const = default;
};

class Graph {
 public:
  // Appends a node and returns its id. Inputs must exist already, so that the order of ids is
  // always a topological order. Throws Error on a duplicate name, an unknown input or a wrong
  // number of inputs.
  NodeId add(std::string name, Op op, std::vector<NodeId> inputs);

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_.at(static_cast<std::size_t>(id)); }
  bool contains(const std::string& name) const { return ids_.count(name) > 0; }
  // Throws Error when there is no node of that name.
  NodeId find(const std::string& name) const;
  std::vector<std::vector<NodeId>> consumers() const;
  // Of every node, whether one of these depends on it or is it.
  std::vector<bool> needed_for(const std::vector<NodeId>& results) const;

  // The Input nodes, in order.
  std::vector<NodeId> inputs() const;
  // All results: `output`, unless it is -1, then the further ones.
  std::vector<Output> outputs() const;

  // The main result: logits, of a classifier.
  NodeId output = -1;
  std::string output_key = "output";
  // What else a pass gives, such as a detector's boxes beside its scores.
  std::vector<Output> further_outputs;
  // Feature maps by level: 0 = stem (stride 2), then the output of each stage, as in timm.
  std::vector<NodeId> features;

  // The same nodes, outputs and features.
  bool operator==(const Graph&) const = default;

 private:
  std::vector<Node> nodes_;
  std::map<std::string, NodeId> ids_;
};

// Weights by name, e.g. "stage0.rbr_skip.running_var".
using Weights = std::map<std::string, Tensor>;

struct Network {
  Graph graph;
  Weights weights;

  // Throws Error naming the weight; the message gives the node that wants it.
  const Tensor& weight(const std::string& name) const;
};

using ShapesByName = std::map<std::string, Shape>;

// Shape of every node's result, given the shapes (N, C, H, W) of the inputs by name. Throws Error
// naming an input that is missing or unknown, or the first node that does not fit.
std::vector<Shape> infer_shapes(const Graph& graph, const ShapesByName& input_shapes);
// Of a graph with one input; throws Error naming the inputs when it has several.
std::vector<Shape> infer_shapes(const Graph& graph, const Shape& input_shape);

// Every weight that the graph reads, in node order.
std::vector<Parameter> parameters(const Graph& graph);
// Trainable parameters only: running statistics do not count.
std::int64_t count_parameters(const Graph& graph);
// Multiply-accumulates of products with weights (convolutions and linear layers) for one pass over
// `input_shape`; batch norm, activations, pooling and biases are not counted (the paper's
// convention, Table 8).
std::int64_t count_macs(const Graph& graph, const Shape& input_shape);
// Those of products without weights, which are the two inside every Attention: most published
// tables leave them out.
std::int64_t count_attention_macs(const Graph& graph, const Shape& input_shape);

// Throws Error naming the first weight that is missing, extra, or of another shape or dtype.
void check_weights(const Network& network);

}  // namespace mobileone
