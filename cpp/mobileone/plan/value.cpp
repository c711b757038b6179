#include "mobileone/plan/value.hpp"

#include "mobileone/base/error.hpp"

namespace mobileone {

std::string to_string(const Layout& layout) {
  switch (layout.kind) {
    case Layout::Kind::nchw:
      return "nchw";
    case Layout::Kind::nhwc:
      return "nhwc";
    case Layout::Kind::blocked:
      return concat("nChw", layout.block, "c", layout.border ? "+border" : "",
                    layout.bytes ? " bytes" : "");
  }
  return "?";
}

std::size_t Value::bytes() const {
  if (shape.size() != 4 || layout.kind != Layout::Kind::blocked) {
    return static_cast<std::size_t>(element_count(shape)) * size_of(dtype);
  }
  const std::int64_t blocks = (shape[1] + layout.block - 1) / layout.block;
  const std::int64_t pixels = (shape[2] + 2 * layout.border) * (shape[3] + 2 * layout.border);
  const auto elements = static_cast<std::size_t>(shape[0] * blocks * pixels * layout.block);
  return layout.bytes ? elements + kByteSlack : elements * size_of(dtype);
}

}  // namespace mobileone
