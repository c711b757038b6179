#include "mobileone/graph/json.hpp"

#include <algorithm>

#include "mobileone/graph/builder.hpp"
#include "mobileone/graph/json_text.hpp"

namespace mobileone {

namespace {

constexpr const char* kFormat = "mobileone.graph";
constexpr std::int64_t kVersion = 1;

void write_names(const Graph& graph, const std::vector<NodeId>& ids, std::string& text) {
  text += '[';
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) text += ", ";
    quote(graph.node(ids[i]).name, text);
  }
  text += ']';
}

// A value, and what it is part of: a path by which messages name it, made when there is one. Lives
// no longer than the reader that it came from.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  [[noreturn]] void fail(const std::string& found, const std::string& expected) const {
    throw Error(concat("[graph] ", parent_ == nullptr ? "the text" : path(), " is ", found,
                       "; expected ", expected));
  }

  template <typename T>
  const T& as(const char* expected) const {
    const T* value = std::get_if<T>(&json_.value);
    if (!value) fail(describe(json_), expected);
    return *value;
  }
  const std::string& string() const { return as<std::string>("a string"); }

  // Of an object with exactly these keys.
  Reader operator[](const char* key) const {
    for (const auto& [name, value] : as<Json::Object>("an object")) {
      if (name == key) return {value, this, name};
    }
    throw Error(concat("[graph] ", prefix(), key, " is missing"));
  }
  void only(const std::vector<std::string>& known) const {
    for (const auto& [name, value] : as<Json::Object>("an object")) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      throw Error(concat("[graph] ", prefix(), name, " is unknown"));
    }
  }

  std::vector<Reader> elements() const {
    const auto& elements = as<Json::Array>("a list");
    std::vector<Reader> result;
    result.reserve(elements.size());
    for (const Json& element : elements) result.push_back({element, this, {}, result.size()});
    return result;
  }
  std::vector<Reader> entries() const {
    const auto& entries = as<Json::Object>("an object");
    std::vector<Reader> result;
    result.reserve(entries.size());
    for (const auto& [name, value] : entries) result.push_back({value, this, name});
    return result;
  }
  // In the object that it came from.
  std::string name() const { return std::string(name_); }
  std::vector<std::string> strings() const {
    std::vector<std::string> result;
    for (const Reader& element : elements()) result.push_back(element.string());
    return result;
  }

  Attribute attribute() const {
    if (const auto* value = std::get_if<bool>(&json_.value)) return *value;
    if (const auto* value = std::get_if<std::int64_t>(&json_.value)) return *value;
    if (const auto* value = std::get_if<double>(&json_.value)) return *value;
    if (const auto* value = std::get_if<std::string>(&json_.value)) return *value;
    if (std::holds_alternative<Json::Object>(json_.value)) {
      IntegersByName result;
      for (const Reader& entry : entries()) result[entry.name()] = entry.integer();
      return result;
    }
    if (!std::holds_alternative<Json::Array>(json_.value)) fail(describe(json_), "an attribute");
    Integers result;
    for (const Reader& element : elements()) result.push_back(element.integer());
    return result;
  }

 private:
  Reader(const Json& json, const Reader* parent, std::string_view name, std::size_t index = 0)
      : json_(json), parent_(parent), name_(name), index_(index) {}

  std::int64_t integer() const { return as<std::int64_t>("an integer"); }

  std::string path() const {
    if (parent_ == nullptr) return "";
    if (std::holds_alternative<Json::Array>(parent_->json_.value)) {
      return concat(parent_->path(), "[", index_, "]");
    }
    return concat(parent_->prefix(), name_);
  }
  std::string prefix() const { return parent_ == nullptr ? "" : path() + "."; }

  const Json& json_;
  const Reader* parent_ = nullptr;
  std::string_view name_;
  std::size_t index_ = 0;
};

void add_node(const Reader& node, GraphBuilder& builder) {
  node.only({"name", "kind", "inputs", "attributes"});
  const Reader given = node["attributes"];
  Attributes attributes;
  for (const Reader& value : given.entries()) {
    attributes.emplace_back(value.name(), value.attribute());
  }
  builder.add(node["name"].string(), node["kind"].string(), node["inputs"].strings(), attributes);
}

}  // namespace

std::string to_json(const Graph& graph) {
  std::string text = concat("{\"format\": \"", kFormat, "\", \"version\": ", kVersion, ",\n");
  text += " \"nodes\": [";
  for (const Node& node : graph.nodes()) {
    text += &node == graph.nodes().data() ? "\n  {\"name\": " : ",\n  {\"name\": ";
    quote(node.name, text);
    text += ", \"kind\": ";
    quote(kind_name(node.op), text);
    text += ", \"inputs\": ";
    write_names(graph, node.inputs, text);
    text += ", \"attributes\": ";
    write_json(attributes_of(node.op), text);
    text += '}';
  }
  Attributes outputs;
  for (const Output& output : graph.outputs()) {
    outputs.emplace_back(output.key, graph.node(output.node).name);
  }
  text += "],\n \"outputs\": ";
  write_json(outputs, text);
  text += ",\n \"features\": ";
  write_names(graph, graph.features, text);
  return text + "}\n";
}

Graph graph_from_json(std::string_view text) {
  const Json document = parse_json(text);
  const Reader root(document);
  const Reader format = root["format"], version = root["version"];
  if (format.string() != kFormat) format.fail(format.string(), kFormat);
  const auto found = version.as<std::int64_t>("an integer");
  if (found != kVersion) version.fail(concat(found), concat(kVersion));
  root.only({"format", "version", "nodes", "outputs", "features"});

  GraphBuilder builder;
  const Reader nodes = root["nodes"], outputs = root["outputs"];
  for (const Reader& node : nodes.elements()) add_node(node, builder);
  for (const Reader& node : outputs.entries()) builder.output(node.string(), node.name());
  for (const std::string& node : root["features"].strings()) builder.feature(node);
  return builder.build();
}

}  // namespace mobileone
