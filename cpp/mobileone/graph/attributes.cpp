#include "mobileone/graph/attributes.hpp"

#include <cmath>
#include <limits>

#include "mobileone/graph/json_text.hpp"

namespace mobileone {

namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int32_t>::max();

template <typename T>
std::string read_exactly(const Attribute& from, T& value, const char* expected) {
  const T* found = std::get_if<T>(&from);
  if (!found) return expected;
  value = *found;
  return {};
}

}  // namespace

std::string to_string(const Attribute& value) {
  std::string text;
  write_json(value, text);
  return text;
}

Attribute to_attribute(bool value) { return value; }
Attribute to_attribute(std::int64_t value) { return value; }
Attribute to_attribute(double value) { return value; }
Attribute to_attribute(const std::string& value) { return value; }
Attribute to_attribute(const Extent& value) { return Integers(value.begin(), value.end()); }
Attribute to_attribute(const Integers& value) { return value; }
Attribute to_attribute(const IntegersByName& value) { return value; }

std::string read_attribute(const Attribute& from, bool& value) {
  return read_exactly(from, value, "true or false");
}

std::string read_attribute(const Attribute& from, std::int64_t& value) {
  return read_exactly(from, value, "an integer");
}

std::string read_attribute(const Attribute& from, double& value) {
  const auto* integer = std::get_if<std::int64_t>(&from);
  if (!integer) return read_exactly(from, value, "a number");
  value = static_cast<double>(*integer);
  return {};
}

std::string read_attribute(const Attribute& from, std::string& value) {
  return read_exactly(from, value, "a string");
}

std::string read_attribute(const Attribute& from, Extent& value) {
  if (const auto* both = std::get_if<std::int64_t>(&from)) {
    value = {*both, *both};
    return {};
  }
  const auto* list = std::get_if<Integers>(&from);
  if (!list || list->size() != 2) return "two integers: height and width";
  value = {(*list)[0], (*list)[1]};
  return {};
}

std::string read_attribute(const Attribute& from, Integers& value) {
  return read_exactly(from, value, "a list of integers");
}

std::string read_attribute(const Attribute& from, IntegersByName& value) {
  return read_exactly(from, value, "integers by name");
}

namespace detail {

void check_range(const std::string& where, const char* field, const Attribute& value,
                 std::int64_t least) {
  const auto check = [&](std::int64_t found, const auto&... name) {
    if (found >= least && found <= kLargest) return;
    const std::string expected =
        found < least ? concat("least ", least) : concat("most ", kLargest);
    throw Error(concat(where, field, name..., " is ", found, "; expected at ", expected));
  };
  if (const auto* integer = std::get_if<std::int64_t>(&value)) check(*integer);
  if (const auto* list = std::get_if<Integers>(&value)) {
    for (std::size_t i = 0; i < list->size(); ++i) check((*list)[i], "[", i, "]");
  }
  if (const auto* named = std::get_if<IntegersByName>(&value)) {
    for (const auto& [name, integer] : *named) check(integer, "[", name, "]");
  }
  if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number)) {
    throw Error(concat(where, field, " is ", *number, "; expected a finite number"));
  }
}

void refuse_field(const std::string& where, const std::string& name,
                  const std::vector<std::string>& known) {
  std::string names;
  for (const std::string& field : known) names += (names.empty() ? "one of " : ", ") + field;
  throw Error(
      concat(where, "there is no ", name, "; expected ", names.empty() ? "no attributes" : names));
}

}  // namespace detail

}  // namespace mobileone
