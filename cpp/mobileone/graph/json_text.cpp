#include "mobileone/graph/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_set>

namespace mobileone {

namespace {

constexpr int kDeepest = 32;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json result = value(0);
    skip_space();
    if (at_ < text_.size()) fail("the end of the text");
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t start = before.rfind('\n');
    const std::size_t column = start == before.npos ? at_ + 1 : at_ - start;
    std::string found = "the end of the text";
    if (at_ < text_.size()) {
      const unsigned char c = static_cast<unsigned char>(text_[at_]);
      found = c > 0x20 && c < 0x7f ? std::string{'\'', text_[at_], '\''} : concat("byte ", int{c});
    }
    throw Error(concat("[json] line ", line, ", column ", column, ": found ", found, "; expected ",
                       expected));
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json value(int depth) {
    skip_space();
    if (depth > kDeepest) fail(concat("at most ", kDeepest, " levels of nesting"));
    if (take('{')) return {object(depth)};
    if (take('[')) return {array(depth)};
    if (peek() == '"') return {string()};
    if (take("true")) return {true};
    if (take("false")) return {false};
    if (take("null")) return {nullptr};
    return number();
  }

  Json::Object object(int depth) {
    Json::Object result;
    std::unordered_set<std::string> keys;  // of an object with many: comparing each takes too long
    constexpr std::size_t kFew = 32;
    skip_space();
    if (take('}')) return result;
    do {
      skip_space();
      const std::size_t start = at_;
      if (peek() != '"') fail("a key in quotes");
      std::string key = string();
      const auto same = [&](const auto& entry) { return entry.first == key; };
      if (result.size() == kFew) {
        for (const auto& entry : result) keys.insert(entry.first);
      }
      if (result.size() < kFew ? std::any_of(result.begin(), result.end(), same)
                               : !keys.insert(key).second) {
        at_ = start;
        fail(concat("another key than \"", key, "\", which came before"));
      }
      skip_space();
      if (!take(':')) fail("':'");
      Json entry = value(depth + 1);
      result.emplace_back(std::move(key), std::move(entry));
      skip_space();
    } while (take(','));
    if (!take('}')) fail("',' or '}'");
    return result;
  }

  Json::Array array(int depth) {
    Json::Array result;
    skip_space();
    if (take(']')) return result;
    do {
      result.push_back(value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("',' or ']'");
    return result;
  }

  // Stands for itself in a string.
  static bool is_plain(char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
  }

  std::string string() {
    std::string result;
    ++at_;
    while (!take('"')) {
      if (at_ >= text_.size() || static_cast<unsigned char>(text_[at_]) < 0x20) {
        fail("a character of a string or '\"'");
      }
      if (take('\\')) {
        escape(result);
        continue;
      }
      const std::size_t start = at_;
      while (at_ < text_.size() && is_plain(text_[at_])) ++at_;
      result.append(text_, start, at_ - start);
    }
    return result;
  }

  void escape(std::string& result) {
    static constexpr std::string_view kNames = "\"\\/bfnrt", kCharacters = "\"\\/\b\f\n\r\t";
    if (take('u')) return unicode(result);
    const std::size_t known = at_ < text_.size() ? kNames.find(text_[at_]) : kNames.npos;
    if (known == kNames.npos) fail("one of \" \\ / b f n r t u");
    result += kCharacters[known];
    ++at_;
  }

  std::uint32_t four_digits() {
    const std::string_view digits = text_.substr(at_, 4);
    std::uint32_t code = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || end != digits.data() + 4) fail("four hexadecimal digits");
    at_ += 4;
    return code;
  }

  // A code point as UTF-8; those beyond 16 bits are two escapes.
  void unicode(std::string& result) {
    const std::size_t start = at_;
    std::uint32_t code = four_digits();
    if (code >= 0xd800 && code < 0xdc00 && take("\\u")) {
      const std::uint32_t low = four_digits();
      if (low >= 0xdc00 && low < 0xe000) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code >= 0xd800 && code < 0xe000) {
      at_ = start;
      fail("a code point, or the two halves of one");
    }
    if (code < 0x80) {
      result += static_cast<char>(code);
      return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes after the first
    const std::uint32_t mark = more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0;
    result += static_cast<char>(mark | (code >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) {
      result += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3f));
    }
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("a digit");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  Json number() {
    const std::size_t start = at_;
    const bool negative = take('-');
    if (!negative && (peek() < '0' || peek() > '9')) fail("a value");
    if (!take('0')) digits();
    bool integer = true;
    if (take('.')) {
      integer = false;
      digits();
    }
    if (take('e') || take('E')) {
      integer = false;
      if (!take('-')) take('+');
      digits();
    }
    const char *first = text_.data() + start, *last = text_.data() + at_;
    std::int64_t whole = 0;
    double real = 0.0;
    const std::errc error =
        integer ? std::from_chars(first, last, whole).ec : std::from_chars(first, last, real).ec;
    if (error != std::errc{}) {
      at_ = start;
      fail(integer ? "an integer of 64 bits" : "a number in the range of a double");
    }
    if (integer) return {whole};
    return {real};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

template <typename Number>
void write_number(Number value, std::string& text) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  text.append(digits, end);
}

struct AttributeWriter {
  std::string& text;

  void operator()(bool value) const { text += value ? "true" : "false"; }
  void operator()(std::int64_t value) const { write_number(value, text); }
  void operator()(double value) const { write_number(value, text); }
  void operator()(const std::string& value) const { quote(value, text); }

  void operator()(const Integers& values) const {
    text += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) text += ", ";
      write_number(values[i], text);
    }
    text += ']';
  }

  void operator()(const IntegersByName& values) const {
    Attributes object;
    for (const auto& [name, value] : values) object.emplace_back(name, value);
    write_json(object, text);
  }
};

}  // namespace

Json parse_json(std::string_view text) { return Parser(text).document(); }

void quote(std::string_view value, std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  text += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      text += {'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]};
    } else {
      text += c;
    }
  }
  text += '"';
}

void write_json(const Attribute& value, std::string& text) {
  std::visit(AttributeWriter{text}, value);
}

void write_json(const Attributes& object, std::string& text) {
  text += '{';
  for (std::size_t i = 0; i < object.size(); ++i) {
    if (i > 0) text += ", ";
    quote(object[i].first, text);
    text += ": ";
    write_json(object[i].second, text);
  }
  text += '}';
}

std::string describe(const Json& value) {
  if (std::holds_alternative<Json::Array>(value.value)) return "a list";
  if (std::holds_alternative<Json::Object>(value.value)) return "an object";
  std::string text;
  if (const auto* truth = std::get_if<bool>(&value.value)) return *truth ? "true" : "false";
  if (const auto* integer = std::get_if<std::int64_t>(&value.value)) write_number(*integer, text);
  if (const auto* number = std::get_if<double>(&value.value)) write_number(*number, text);
  if (const auto* string = std::get_if<std::string>(&value.value)) quote(*string, text);
  return text.empty() ? "null" : text;
}

}  // namespace mobileone
