#include "mobileone/graph/op.hpp"

namespace mobileone {

namespace {

struct KindName {
  const char* operator()(const Input&) const { return "Input"; }
  const char* operator()(const Conv2d&) const { return "Conv2d"; }
  const char* operator()(const BatchNorm&) const { return "BatchNorm"; }
  const char* operator()(const Activation&) const { return "Activation"; }
  const char* operator()(const Add&) const { return "Add"; }
  const char* operator()(const Multiply&) const { return "Multiply"; }
  const char* operator()(const GlobalAvgPool&) const { return "GlobalAvgPool"; }
  const char* operator()(const Linear&) const { return "Linear"; }
  const char* operator()(const DynamicMax&) const { return "DynamicMax"; }
  const char* operator()(const LayerNorm&) const { return "LayerNorm"; }
  const char* operator()(const Attention&) const { return "Attention"; }
  const char* operator()(const Unfold&) const { return "Unfold"; }
  const char* operator()(const Fold&) const { return "Fold"; }
  const char* operator()(const Resize&) const { return "Resize"; }
  const char* operator()(const Concat&) const { return "Concat"; }
  const char* operator()(const Dropout&) const { return "Dropout"; }
};

struct ParametersOf {
  const std::string& node;

  std::vector<Parameter> operator()(const Conv2d& op) const {
    std::vector<Parameter> result{
        {node + ".weight",
         {op.out_channels, op.in_channels / op.groups, op.kernel[0], op.kernel[1]}}};
    if (op.bias) result.push_back({node + ".bias", {op.out_channels}});
    return result;
  }

  std::vector<Parameter> operator()(const BatchNorm& op) const {
    return {{node + ".weight", {op.channels}},
            {node + ".bias", {op.channels}},
            {node + ".running_mean", {op.channels}, DType::float32, false},
            {node + ".running_var", {op.channels}, DType::float32, false},
            {node + ".num_batches_tracked", {}, DType::int64, false}};
  }

  std::vector<Parameter> operator()(const Linear& op) const {
    std::vector<Parameter> result{{node + ".weight", {op.out_features, op.in_features}}};
    if (op.bias) result.push_back({node + ".bias", {op.out_features}});
    return result;
  }

  std::vector<Parameter> operator()(const LayerNorm& op) const {
    return {{node + ".weight", {op.channels}}, {node + ".bias", {op.channels}}};
  }

  template <typename WithoutWeights>
  std::vector<Parameter> operator()(const WithoutWeights&) const {
    return {};
  }
};

}  // namespace

const char* kind_name(const Op& op) { return std::visit(KindName{}, op); }

const char* to_string(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::relu:
      return "relu";
    case ActivationKind::sigmoid:
      return "sigmoid";
    case ActivationKind::gelu:
      return "gelu";
    case ActivationKind::silu:
      return "silu";
    case ActivationKind::hard_sigmoid:
      return "hard_sigmoid";
  }
  return "?";
}

std::vector<Parameter> parameters(const std::string& node_name, const Op& op) {
  return std::visit(ParametersOf{node_name}, op);
}

}  // namespace mobileone
