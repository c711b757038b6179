#include "mobileone/reference/maps.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/graph/dropout.hpp"
#include "mobileone/reference/parallel.hpp"

namespace mobileone::reference {

Interpolation::Interpolation(std::int64_t from, std::int64_t to)
    : ratio(static_cast<double>(from) / static_cast<double>(to)) {
  for (std::int64_t i = 0; i < to; ++i) {
    const double place = std::max(0.0, (static_cast<double>(i) + 0.5) * ratio - 0.5);
    const auto first = std::min(static_cast<std::int64_t>(place), from - 1);
    low.push_back(static_cast<std::size_t>(first));
    high.push_back(static_cast<std::size_t>(std::min(first + 1, from - 1)));
    high_weight.push_back(place - static_cast<double>(first));
    low_weight.push_back(1.0 - high_weight.back());
  }
}

ReferenceTensor interpolate(const ReferenceTensor& x, const Interpolation& rows,
                            const Interpolation& columns, int threads) {
  const std::size_t height = rows.low.size(), width = columns.low.size();
  const auto in_width = static_cast<std::size_t>(x.shape[3]);
  const std::size_t in_plane = static_cast<std::size_t>(x.shape[2]) * in_width;
  const std::int64_t planes = x.shape[0] * x.shape[1];
  ReferenceTensor y{
      {x.shape[0], x.shape[1], static_cast<std::int64_t>(height), static_cast<std::int64_t>(width)},
      Values(static_cast<std::size_t>(planes) * height * width)};
  parallel_for(
      planes, 1 + (1 << 14) / static_cast<std::int64_t>(height * width), threads,
      [&](std::int64_t begin, std::int64_t end) {
        for (auto p = static_cast<std::size_t>(begin); p < static_cast<std::size_t>(end); ++p) {
          const double* from = x.values.data() + p * in_plane;
          double* to = y.values.data() + p * height * width;
          for (std::size_t i = 0; i < height * width; ++i) {
            const std::size_t r = i / width, c = i % width;
            const auto along = [&](std::size_t row) {
              const double* line = from + row * in_width;
              return columns.low_weight[c] * line[columns.low[c]] +
                     columns.high_weight[c] * line[columns.high[c]];
            };
            to[i] =
                rows.low_weight[r] * along(rows.low[r]) + rows.high_weight[r] * along(rows.high[r]);
          }
        }
      });
  return y;
}

ReferenceTensor join(const std::vector<const ReferenceTensor*>& inputs, const Shape& shape) {
  ReferenceTensor y{shape, {}};
  y.values.reserve(static_cast<std::size_t>(element_count(shape)));
  for (std::int64_t image = 0; image < shape[0]; ++image) {
    for (const ReferenceTensor* x : inputs) {
      const auto size = static_cast<std::ptrdiff_t>(x->values.size()) / shape[0];
      const auto first = x->values.begin() + image * size;
      y.values.insert(y.values.end(), first, first + size);
    }
  }
  return y;
}

ReferenceTensor drop(const ReferenceTensor& x, std::uint64_t seed, const std::string& node,
                     double p, double scale) {
  const DropoutMask mask(seed, node, p);
  ReferenceTensor y = x;
  for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] *= mask.keeps(i) ? scale : 0.0;
  return y;
}

}  // namespace mobileone::reference
