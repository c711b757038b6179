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

// A value and the path by which messages name it.
class Reader {
 public:
  Reader(const Json& json, std::string path) : json_(json), path_(std::move(path)) {}

  [[noreturn]] void fail(const std::string& found, const std::string& expected) const {
    throw Error(concat("[graph] ", path_.empty() ? "the text" : path_, " is ", found, "; expected ",
                       expected));
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
      if (name == key) return {value, path_.empty() ? key : path_ + "." + key};
    }
    throw Error(concat("[graph] ", path_.empty() ? "" : path_ + ".", key, " is missing"));
  }
  void only(const std::vector<std::string>& known) const {
    for (const auto& [name, value] : as<Json::Object>("an object")) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      throw Error(concat("[graph] ", path_.empty() ? "" : path_ + ".", name, " is unknown"));
    }
  }

  std::vector<Reader> elements() const {
    std::vector<Reader> result;
    for (const Json& element : as<Json::Array>("a list")) {
      result.emplace_back(element, concat(path_, "[", result.size(), "]"));
    }
    return result;
  }
  std::vector<std::pair<std::string, Reader>> entries() const {
    std::vector<std::pair<std::string, Reader>> result;
    for (const auto& [name, value] : as<Json::Object>("an object")) {
      result.emplace_back(name, Reader(value, path_ + "." + name));
    }
    return result;
  }
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
      for (const auto& [name, entry] : entries()) result[name] = entry.integer();
      return result;
    }
    if (!std::holds_alternative<Json::Array>(json_.value)) fail(describe(json_), "an attribute");
    Integers result;
    for (const Reader& element : elements()) result.push_back(element.integer());
    return result;
  }

 private:
  std::int64_t integer() const { return as<std::int64_t>("an integer"); }

  const Json& json_;
  std::string path_;
};

void add_node(const Reader& node, GraphBuilder& builder) {
  node.only({"name", "kind", "inputs", "attributes"});
  Attributes attributes;
  for (const auto& [name, value] : node["attributes"].entries()) {
    attributes.emplace_back(name, value.attribute());
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
  const Reader root(document, "");
  const Reader format = root["format"], version = root["version"];
  if (format.string() != kFormat) format.fail(format.string(), kFormat);
  const auto found = version.as<std::int64_t>("an integer");
  if (found != kVersion) version.fail(concat(found), concat(kVersion));
  root.only({"format", "version", "nodes", "outputs", "features"});

  GraphBuilder builder;
  for (const Reader& node : root["nodes"].elements()) add_node(node, builder);
  for (const auto& [key, node] : root["outputs"].entries()) builder.output(node.string(), key);
  for (const std::string& node : root["features"].strings()) builder.feature(node);
  return builder.build();
}

}  // namespace mobileone
