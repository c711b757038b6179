// JSON text (RFC 8259): a reader that is strict and bounded, and the parts of a writer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "mobileone/graph/attributes.hpp"

namespace mobileone {

struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in the order of the text

  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value;
};

// Numbers without a fraction and an exponent are integers. Throws Error that names line, column,
// what was found and what was expected: also for a key that comes twice, an integer beyond 64 bits,
// a number that is not finite, and more than 32 levels of nesting.
Json parse_json(std::string_view text);

// Append to `text`: a string in quotes; a value, doubles with the fewest digits that read back as
// the same number; an object.
void quote(std::string_view value, std::string& text);
void write_json(const Attribute& value, std::string& text);
void write_json(const Attributes& object, std::string& text);

// For messages: "null", "true", a number, a string in quotes, "a list", "an object".
std::string describe(const Json& value);

}  // namespace mobileone
