// The fields of a struct, written once: operators and model configurations list them in fields(),
// and attributes (Python's dictionaries, JSON), their checks and equality are made from that list.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "mobileone/base/error.hpp"

namespace mobileone {

// (height, width) of a kernel, a stride or a padding.
using Extent = std::array<std::int64_t, 2>;
using Integers = std::vector<std::int64_t>;
using IntegersByName = std::map<std::string, std::int64_t>;

// A field's value outside of its struct; an Extent is a list of two integers.
using Attribute = std::variant<bool, std::int64_t, double, std::string, Integers, IntegersByName>;
using Attributes = std::vector<std::pair<std::string, Attribute>>;

// As JSON writes it.
std::string to_string(const Attribute& value);

template <typename Owner, typename T>
struct Field {
  const char* name;
  T Owner::* member;
  std::int64_t least = 0;  // of integers, alone or in a list
};
template <typename Owner, typename T>
Field(const char*, T Owner::*) -> Field<Owner, T>;
template <typename Owner, typename T>
Field(const char*, T Owner::*, int) -> Field<Owner, T>;

template <typename Owner>
concept HasFields = requires { Owner::fields(); };

// f(field) for each, in order.
template <HasFields Owner, typename Function>
void for_each_field(const Function& f) {
  std::apply([&](const auto&... field) { (f(field), ...); }, Owner::fields());
}

template <HasFields Owner>
bool operator==(const Owner& a, const Owner& b) {
  return std::apply(
      [&](const auto&... field) { return ((a.*field.member == b.*field.member) && ...); },
      Owner::fields());
}

// One overload of each per type that a field may have. An enumeration adds its own.
Attribute to_attribute(bool value);
Attribute to_attribute(std::int64_t value);
Attribute to_attribute(double value);
Attribute to_attribute(const std::string& value);
Attribute to_attribute(const Extent& value);
Attribute to_attribute(const Integers& value);
Attribute to_attribute(const IntegersByName& value);

// Stores `from` in `value` and returns nothing, or says what was expected. An integer will do for a
// double, and for an Extent whose two numbers are the same.
std::string read_attribute(const Attribute& from, bool& value);
std::string read_attribute(const Attribute& from, std::int64_t& value);
std::string read_attribute(const Attribute& from, double& value);
std::string read_attribute(const Attribute& from, std::string& value);
std::string read_attribute(const Attribute& from, Extent& value);
std::string read_attribute(const Attribute& from, Integers& value);
std::string read_attribute(const Attribute& from, IntegersByName& value);

// An enumeration with a table of `kind` and `name`, rows_of(kind), in the order of the kinds. As
// attributes they are their names.
template <typename Kind>
concept HasRows = requires(Kind kind) { rows_of(kind); };

template <HasRows Kind>
constexpr const auto& row_of(Kind kind) {
  return rows_of(kind).at(static_cast<std::size_t>(kind));
}

template <typename Rows>
constexpr bool in_order(const Rows& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (static_cast<std::size_t>(rows[i].kind) != i) return false;
  }
  return true;
}

template <HasRows Kind>
Attribute to_attribute(Kind kind) {
  return std::string(row_of(kind).name);
}

template <HasRows Kind>
std::string read_attribute(const Attribute& from, Kind& kind) {
  const auto* name = std::get_if<std::string>(&from);
  std::string names;
  for (const auto& row : rows_of(kind)) {
    if (name && *name == row.name) {
      kind = row.kind;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return "one of " + names;
}

template <HasFields Owner>
Attributes attributes_of(const Owner& owner) {
  Attributes result;
  for_each_field<Owner>([&](const auto& field) {
    result.emplace_back(field.name, to_attribute(owner.*field.member));
  });
  return result;
}

template <HasFields Owner>
std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for_each_field<Owner>([&](const auto& field) { names.emplace_back(field.name); });
  return names;
}

namespace detail {

// Throws Error "<where><field> is ...; expected ..." when a number is out of range.
void check_range(const std::string& where, const char* field, const Attribute& value,
                 std::int64_t least);
[[noreturn]] void refuse_field(const std::string& where, const std::string& name,
                               const std::vector<std::string>& known);

}  // namespace detail

// Throws Error that begins with `where` and names the first field that is out of its range.
template <HasFields Owner>
void check_fields(const Owner& owner, const std::string& where) {
  for_each_field<Owner>([&](const auto& field) {
    detail::check_range(where, field.name, to_attribute(owner.*field.member), field.least);
  });
}

// The fields that are not given keep their initial values. Throws Error that begins with `where`
// and names the attribute that is unknown or of another type.
template <HasFields Owner>
Owner from_attributes(const Attributes& attributes, const std::string& where) {
  Owner result{};
  for (const auto& [name, value] : attributes) {
    bool known = false;
    for_each_field<Owner>([&](const auto& field) {
      if (name != field.name) return;
      known = true;
      const std::string expected = read_attribute(value, result.*field.member);
      if (!expected.empty()) {
        throw Error(concat(where, name, " is ", to_string(value), "; expected ", expected));
      }
    });
    if (!known) detail::refuse_field(where, name, field_names<Owner>());
  }
  return result;
}

}  // namespace mobileone
