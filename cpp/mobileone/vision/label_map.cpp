#include "mobileone/vision/label_map.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace mobileone {

namespace {

// Where a row or column of the picture lies between two of the map.
struct Place {
  std::int64_t low, high;
  double share;  // of the higher one
};

std::vector<Place> places(std::int64_t from, std::int64_t to, bool align_corners) {
  std::vector<Place> result;
  for (std::int64_t i = 0; i < to; ++i) {
    double at = 0.0;
    if (!align_corners) {
      const double scale = static_cast<double>(from) / static_cast<double>(to);
      at = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
    } else if (to > 1) {
      at = static_cast<double>(i) * static_cast<double>(from - 1) / static_cast<double>(to - 1);
    }
    const std::int64_t low = std::min(static_cast<std::int64_t>(at), from - 1);
    result.push_back({low, std::min(low + 1, from - 1), at - static_cast<double>(low)});
  }
  return result;
}

// One past the last place between the same two neighbours as the first.
std::size_t same_until(const std::vector<Place>& all, std::size_t first) {
  std::size_t end = first + 1;
  while (end < all.size() && all[end].low == all[first].low) ++end;
  return end;
}

// A class that may win between four neighbours, and its logits there.
struct Contender {
  std::int64_t label;
  std::array<double, 4> corners;

  double at(const Place& row, const Place& column) const {
    const double top = (1.0 - column.share) * corners[0] + column.share * corners[1];
    const double bottom = (1.0 - column.share) * corners[2] + column.share * corners[3];
    return (1.0 - row.share) * top + row.share * bottom;
  }
};

// Of all classes those whose largest corner is not below the smallest corner of another one.
void find_contenders(const Logits& logits, const Place& row, const Place& column,
                     std::vector<Contender>& contenders) {
  const std::int64_t pixels = logits.height * logits.width;
  const std::array<std::int64_t, 4> offsets{
      row.low * logits.width + column.low, row.low * logits.width + column.high,
      row.high * logits.width + column.low, row.high * logits.width + column.high};
  contenders.clear();
  double bar = 0.0;
  for (std::int64_t label = 0; label < logits.classes; ++label) {
    Contender one{label, {}};
    for (std::size_t i = 0; i < 4; ++i) {
      one.corners[i] = static_cast<double>(logits.data[label * pixels + offsets[i]]);
    }
    const double least = *std::min_element(one.corners.begin(), one.corners.end());
    bar = label == 0 ? least : std::max(bar, least);
    contenders.push_back(one);
  }
  std::erase_if(contenders, [bar](const Contender& one) {
    return *std::max_element(one.corners.begin(), one.corners.end()) < bar;
  });
}

std::int64_t winner(const std::vector<Contender>& contenders, const Place& row,
                    const Place& column) {
  std::int64_t label = contenders[0].label;
  double best = contenders[0].at(row, column);
  for (std::size_t i = 1; i < contenders.size(); ++i) {
    const double value = contenders[i].at(row, column);
    if (value > best) {
      best = value;
      label = contenders[i].label;
    }
  }
  return label;
}

template <typename Label>
void fill(const Logits& logits, bool align_corners, std::int64_t rows, std::int64_t columns,
          Label* labels) {
  const std::vector<Place> down = places(logits.height, rows, align_corners);
  const std::vector<Place> across = places(logits.width, columns, align_corners);
  std::vector<Contender> contenders;
  for (std::size_t y = 0; y < down.size();) {
    const std::size_t y_end = same_until(down, y);
    for (std::size_t x = 0; x < across.size();) {
      const std::size_t x_end = same_until(across, x);
      find_contenders(logits, down[y], across[x], contenders);
      for (std::size_t row = y; row < y_end; ++row) {
        Label* line = labels + row * across.size();
        if (contenders.size() == 1) {
          std::fill(line + x, line + x_end, static_cast<Label>(contenders[0].label));
          continue;
        }
        for (std::size_t column = x; column < x_end; ++column) {
          line[column] = static_cast<Label>(winner(contenders, down[row], across[column]));
        }
      }
      x = x_end;
    }
    y = y_end;
  }
}

}  // namespace

void label_map(const Logits& logits, bool align_corners, std::int64_t rows, std::int64_t columns,
               std::uint16_t* labels) {
  fill(logits, align_corners, rows, columns, labels);
}

void label_map(const Logits& logits, bool align_corners, std::int64_t rows, std::int64_t columns,
               std::uint8_t* labels) {
  fill(logits, align_corners, rows, columns, labels);
}

}  // namespace mobileone
