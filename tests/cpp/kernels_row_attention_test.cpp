// Attention on rows of tokens against plain float64 sums, on every instruction set. Bounds are
// first-order ones (Higham, Accuracy and Stability, 2nd ed., section 3.1), a hundredth wider for
// the rest: a sum of n products is off by gamma(n + 1) times the sum of magnitudes, 2^x by 4 u and
// what an error of x makes of it.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels_testing.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using reference::gamma;
constexpr double kUnit = 0x1p-24, kSlack = 1.01, kTiny = 1e-30;

struct Value {
  double value = 0.0, bound = 0.0;
};

// [rows][columns].
struct Matrix {
  Matrix(int height, int width) : rows(height), columns(width), data(std::size_t(height) * width) {}
  Value& at(int row, int column) { return data[std::size_t(row) * columns + column]; }
  const Value& at(int row, int column) const { return data[std::size_t(row) * columns + column]; }
  int rows, columns;
  std::vector<Value> data;
};

// a b' or a b, and the bound of a float32 sum with `extra` more roundings.
template <typename Left, typename Right>
Matrix product(int rows, int columns, int terms, double extra, const Left& left,
               const Right& right) {
  Matrix result(rows, columns);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      double magnitude = 0.0;
      Value& sum = result.at(i, j);
      for (int k = 0; k < terms; ++k) {
        const Value a = left(i, k), b = right(k, j);
        sum.value += a.value * b.value;
        magnitude += std::abs(a.value * b.value);
        sum.bound += a.bound * std::abs(b.value) + b.bound * std::abs(a.value);
      }
      sum.bound += gamma(terms + 1 + extra) * magnitude;
    }
  }
  return result;
}

struct Reference {
  Matrix weights, y, dq, dk, dv;
};

Reference differentiate(const Matrix& q, const Matrix& k, const Matrix& v, const Matrix& dy) {
  const int n = q.rows, d = q.columns;
  const double scale = 1.0 / std::sqrt(double(d));
  const auto by_column = [](const Matrix& m) { return [&m](int i, int j) { return m.at(j, i); }; };
  const auto by_row = [](const Matrix& m) { return [&m](int i, int j) { return m.at(i, j); }; };
  Matrix weights = product(n, n, d, 3, by_row(q), by_column(k));  // the scale's, and its product's
  for (int i = 0; i < n; ++i) {
    double top = -HUGE_VAL, sum = 0.0, worst = 0.0;
    for (int j = 0; j < n; ++j) top = std::max(top, weights.at(i, j).value);
    for (int j = 0; j < n; ++j) {
      Value& s = weights.at(i, j);
      const double distance = scale * (top - s.value);
      // The largest score's own error shifts all alike, and leaves the weights.
      worst = std::max(worst, scale * s.bound + kUnit * distance + 4.0 * kUnit);
      s.value = std::exp(-distance);
      sum += s.value;
    }
    for (int j = 0; j < n; ++j) {
      Value& p = weights.at(i, j);
      p.value /= sum;
      p.bound = p.value * (2.0 * worst + gamma(n + 4)) + kTiny;
    }
  }
  const Matrix y = product(n, d, n, 1, by_row(weights), by_row(v));
  Matrix ds = product(n, n, d, 0, by_row(dy), by_column(v));
  for (int i = 0; i < n; ++i) {
    Value mean;
    double magnitude = 0.0;
    for (int j = 0; j < n; ++j) {
      const Value p = weights.at(i, j), g = ds.at(i, j);
      mean.value += p.value * g.value;
      magnitude += std::abs(p.value * g.value);
      mean.bound += p.bound * std::abs(g.value) + g.bound * p.value;
    }
    mean.bound += gamma(n + 2) * magnitude;
    for (int j = 0; j < n; ++j) {
      const Value p = weights.at(i, j);
      Value& g = ds.at(i, j);
      const double difference = g.value - mean.value;
      g.bound = p.value * (g.bound + mean.bound + 2.0 * kUnit * std::abs(difference)) +
                p.bound * std::abs(difference);
      g.value = p.value * difference;
    }
  }
  Matrix dq = product(n, d, n, 3, by_row(ds), by_row(k));
  Matrix dk = product(n, d, n, 3, by_column(ds), by_row(q));
  for (Matrix* m : {&dq, &dk}) {
    for (Value& value : m->data) value = {scale * value.value, scale * value.bound};
  }
  return {weights, y, dq, dk, product(n, d, n, 0, by_column(weights), by_row(dy))};
}

// The middle one of three heads of a few tokens; its neighbours must stay as they are.
class TrainingAttention : public KernelTest {
 protected:
  static constexpr float kUntouched = 77.0f;

  void check(int tokens, int features, float spread) const {
    SCOPED_TRACE(std::to_string(tokens) + " tokens of " + std::to_string(features));
    const int width = 3 * features, packed = 3 * width;
    const auto memory = random_floats(std::size_t(tokens) * packed, 1, spread);
    const auto given = random_floats(std::size_t(tokens) * width, 2);
    Buffer x(memory.size()), dy(given.size()), y(given.size()), dx(memory.size());
    std::copy(memory.begin(), memory.end(), x.get());
    std::copy(given.begin(), given.end(), dy.get());
    std::fill_n(y.get(), y.size, kUntouched);
    std::fill_n(dx.get(), dx.size, kUntouched);
    const auto read = [&](const float* from, int step) {
      Matrix m(tokens, features);
      for (int i = 0; i < tokens; ++i) {
        for (int j = 0; j < features; ++j) m.at(i, j).value = from[std::size_t(i) * step + j];
      }
      return m;
    };
    const PackedHead head{x.get() + features, x.get() + width + features,
                          x.get() + 2 * width + features};
    const Reference expected =
        differentiate(read(head.queries, packed), read(head.keys, packed),
                      read(head.values, packed), read(dy.get() + features, width));

    RowAttention shape{tokens, features, packed, width};
    Buffer scratch(shape.forward_floats(table.traits));
    table.attention_forward({shape, head, y.get() + features, scratch.get()});
    Buffer more(shape.gradient_floats(table.traits));
    table.attention_gradient({shape, head, dy.get() + features, dx.get() + features,
                              dx.get() + width + features, dx.get() + 2 * width + features,
                              more.get()});
    compare(expected.y, y.get(), width, features, "y");
    compare(expected.dq, dx.get(), packed, features, "dq");
    compare(expected.dk, dx.get(), packed, width + features, "dk");
    compare(expected.dv, dx.get(), packed, 2 * width + features, "dv");
    for (int i = 0; i < tokens; ++i) {
      for (int j = 0; j < packed; ++j) {
        if (j % width / features == 1) continue;
        ASSERT_EQ(dx.get()[i * packed + j], kUntouched);
      }
      for (int j = 0; j < width; ++j) {
        if (j / features == 1) continue;
        ASSERT_EQ(y.get()[i * width + j], kUntouched);
      }
    }
  }

  static void compare(const Matrix& expected, const float* found, int step, int column,
                      const char* what) {
    for (int i = 0; i < expected.rows; ++i) {
      for (int j = 0; j < expected.columns; ++j) {
        const Value& value = expected.at(i, j);
        ASSERT_NEAR(found[i * step + column + j], value.value, kSlack * value.bound + kTiny)
            << what << " " << i << " " << j;
      }
    }
  }
};

TEST_P(TrainingAttention, ValuesAndGradients) {
  for (int features : {1, 3, 15, 16, 17, 20, 36, 48}) {
    for (int tokens : {1, 2, 16, 17, 33, 70}) check(tokens, features, 1.0f);
  }
}

// Scores of some hundreds: all but a few weights vanish.
TEST_P(TrainingAttention, LargeScores) {
  for (int features : {4, 24}) check(40, features, 9.0f);
}

MOBILEONE_FOR_ALL_TABLES(TrainingAttention);

}  // namespace
}  // namespace mobileone::kernels::testing
