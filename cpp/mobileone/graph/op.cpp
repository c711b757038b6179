#include "mobileone/graph/op.hpp"

namespace mobileone {

namespace {

std::string place(const char* kind, const std::string& node) {
  return concat("[", kind, "] ", node, ": ");
}

// Tries one operator after the other; `known` collects their names.
template <typename... T>
bool make_named(const std::string& kind, const Attributes& attributes, const std::string& node,
                std::variant<T...>& result, std::string& known) {
  const auto make = [&]<typename Candidate>(std::type_identity<Candidate>) {
    known += (known.empty() ? "" : ", ") + std::string(Candidate::name);
    if (kind != Candidate::name) return false;
    result = from_attributes<Candidate>(attributes, place(Candidate::name, node));
    return true;
  };
  return (make(std::type_identity<T>{}) || ...);
}

}  // namespace

const Shape& InputShapes::image(std::int64_t channels) const {
  const Shape& shape = shapes_[0];
  if (shape.size() != 4) fail("input has shape ", to_string(shape), "; expected 4-d");
  if (channels >= 0 && shape[1] != channels) {
    fail("input has ", shape[1], " channels; expected ", channels);
  }
  return shape;
}

const Shape& InputShapes::rows(std::int64_t channels) const {
  const Shape& shape = shapes_[0];
  if (shape.size() < 2 || shape.back() != channels) {
    fail("input has shape ", to_string(shape), "; expected (..., ", channels, ")");
  }
  return shape;
}

const Shape& InputShapes::tokens() const {
  const Shape& shape = shapes_[0];
  if (shape.size() != 3) fail("input has shape ", to_string(shape), "; expected 3-d");
  return shape;
}

const char* kind_name(const Op& op) {
  return std::visit([](const auto& one) { return one.name; }, op);
}

Arity arity_of(const Op& op) {
  return std::visit([](const auto& one) { return one.arity; }, op);
}

Traits traits_of(const Op& op) {
  return std::visit([](const auto& one) { return one.traits; }, op);
}

Attributes attributes_of(const Op& op) {
  return std::visit([](const auto& one) { return attributes_of(one); }, op);
}

std::optional<OnnxOperator> onnx_of(const Op& op) {
  return std::visit([](const auto& one) { return one.onnx(); }, op);
}

Op make_op(const std::string& kind, const Attributes& attributes, const std::string& node) {
  Op result;
  std::string known;
  if (!make_named(kind, attributes, node, result, known)) {
    throw Error(
        concat("[graph] ", node, ": there is no operator ", kind, "; expected one of ", known));
  }
  return result;
}

void check_attributes(const Op& op, const std::string& node) {
  std::visit([&](const auto& one) { check_fields(one, place(one.name, node)); }, op);
}

Shape output_shape(const Op& op, const std::string& node, std::vector<Shape> inputs) {
  return std::visit(
      [&](const auto& one) {
        return one.output_shape(InputShapes(one.name, node, std::move(inputs)));
      },
      op);
}

std::vector<Parameter> parameters(const std::string& node, const Op& op) {
  return std::visit([&](const auto& one) { return one.parameters(node); }, op);
}

std::int64_t count_macs(const Op& op, const Shape& result) {
  return std::visit([&](const auto& one) { return one.macs(result); }, op);
}

}  // namespace mobileone
