// Copying a graph node by node while some nodes change: what both rewrites are made of.
#pragma once

#include <string>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

class GraphCopy {
 public:
  explicit GraphCopy(const Network& source);

  const Network& source() const { return source_; }
  // The only node that reads the result; -1 where several or none do, or it is an output or a
  // feature.
  NodeId only_reader(NodeId producer) const;

  // Copies the node with its weights, its inputs mapped to the new graph.
  void keep(NodeId id);
  // Adds a node to the new graph in place of `id`, its inputs given as old ids.
  void replace(NodeId id, const std::string& name, const Op& op, const std::vector<NodeId>& inputs);
  // Adds a node that stands for no old one; its inputs are old ids. Returns its new id.
  NodeId insert(const std::string& name, const Op& op, const std::vector<NodeId>& inputs);
  void set_weight(const std::string& name, Tensor value);
  NodeId mapped(NodeId old_id) const;
  Graph& graph() { return result_.graph; }
  void map(NodeId old_id, NodeId new_id) { mapping_[static_cast<std::size_t>(old_id)] = new_id; }

  // The finished network, its output and features mapped.
  Network finish() &&;

 private:
  std::vector<NodeId> mapped(const std::vector<NodeId>& old_ids) const;

  const Network& source_;
  std::vector<std::vector<NodeId>> consumers_;
  std::vector<NodeId> mapping_;
  Network result_;
};

}  // namespace mobileone
