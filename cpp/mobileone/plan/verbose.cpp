#include "mobileone/plan/verbose.hpp"

#include <cstdio>
#include <cstdlib>
#include <iomanip>
#include <sstream>
#include <string_view>

namespace mobileone {

bool verbose() {
  static const bool chosen = [] {
    const char* value = std::getenv("MOBILEONE_VERBOSE");
    return value != nullptr && std::string_view(value) != "" && std::string_view(value) != "0";
  }();
  return chosen;
}

void print_steps(const std::vector<StepInfo>& steps, const std::vector<std::int64_t>& nanoseconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    text << "mobileone: " << std::setw(9) << static_cast<double>(nanoseconds[i]) / 1000.0 << " us  "
         << steps[i].name << "  " << steps[i].kind << "  " << steps[i].implementation << '\n';
  }
  const std::string lines = text.str();
  std::fwrite(lines.data(), 1, lines.size(), stderr);
  std::fflush(stderr);
}

}  // namespace mobileone
